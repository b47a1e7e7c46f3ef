"""A packed dataset is one file that every process maps."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.observables.reference import mapped_files as module
from services.observables.reference.mapped_files import map_dataset
from shared.settings import Settings

DATA = b"packed" * 10_000
DIGEST = hashlib.sha256(DATA).hexdigest()


class Source:
    """Returns the bytes as the database does, and counts how often it is called."""

    def __init__(self, content: bytes = DATA) -> None:
        self.content = content
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.content


@pytest.fixture
def folder(
    tmp_path: Path, environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.setattr(
        module, "load_settings", lambda: environment.model_copy(update={"data_dir": tmp_path})
    )
    return tmp_path / "reference"


def test_it_is_fetched_once_and_then_read_from_the_file(folder: Path) -> None:
    source = Source()
    first = map_dataset("lists", DIGEST, source)
    second = map_dataset("lists", DIGEST, source)
    assert bytes(first) == bytes(second) == DATA
    assert isinstance(first, memoryview)
    assert source.calls == 1


def test_of_processes_that_look_at_the_same_time_only_one_fetches(folder: Path) -> None:
    source = Source()
    with ThreadPoolExecutor(8) as threads:
        blobs = list(threads.map(lambda _: bytes(map_dataset("lists", DIGEST, source)), range(8)))
    assert blobs == [DATA] * 8
    assert source.calls == 1


def test_newer_data_replaces_older_data_which_stays_mapped_where_it_is_in_use(folder: Path) -> None:
    older = map_dataset("lists", DIGEST, Source())
    newer = b"newer" * 9
    assert bytes(map_dataset("lists", hashlib.sha256(newer).hexdigest(), Source(newer))) == newer
    assert bytes(older) == DATA
    assert {path.name for path in folder.iterdir()} == {"lists", "lists.lock"}


@pytest.mark.parametrize(
    "broken", [b"", DATA[:-1], b"x" + DATA[1:]], ids=["empty", "cut off", "altered"]
)
def test_a_broken_file_is_made_again(folder: Path, broken: bytes) -> None:
    folder.mkdir()
    (folder / "lists").write_bytes(broken)
    assert bytes(map_dataset("lists", DIGEST, Source())) == DATA
    assert (folder / "lists").read_bytes() == DATA


def test_data_that_was_replaced_since_its_digest_was_read_is_used(folder: Path) -> None:
    assert bytes(map_dataset("lists", DIGEST, Source(b"of a moment later"))) == b"of a moment later"
    assert bytes(map_dataset("lists", DIGEST, Source())) == DATA


def test_where_no_file_can_be_made_the_bytes_are_used_as_they_are(folder: Path) -> None:
    folder.write_text("in the way")
    assert map_dataset("lists", DIGEST, Source()) == DATA
