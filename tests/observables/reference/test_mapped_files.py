"""Packed reference data is one file that every process maps."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.observables.reference import mapped_files as module
from services.observables.reference.mapped_files import mapped
from shared.settings import Settings

DATA = b"packed" * 10_000
DIGEST = hashlib.sha256(DATA).hexdigest()


class Kept:
    """Where the bytes are kept, and how often they were asked for there."""

    def __init__(self, content: bytes = DATA) -> None:
        self.content, self.asked = content, 0

    def __call__(self) -> bytes:
        self.asked += 1
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
    kept = Kept()
    first, second = mapped("lists", DIGEST, kept), mapped("lists", DIGEST, kept)
    assert bytes(first) == bytes(second) == DATA
    assert isinstance(first, memoryview)
    assert kept.asked == 1


def test_of_processes_that_look_at_the_same_moment_one_fetches(folder: Path) -> None:
    kept = Kept()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: bytes(mapped("lists", DIGEST, kept)), range(8)))
    assert found == [DATA] * 8
    assert kept.asked == 1


def test_newer_data_takes_the_place_of_older_which_stays_where_it_is_in_use(folder: Path) -> None:
    older = mapped("lists", DIGEST, Kept())
    newer = b"newer" * 9
    assert bytes(mapped("lists", hashlib.sha256(newer).hexdigest(), Kept(newer))) == newer
    assert bytes(older) == DATA
    assert {path.name for path in folder.iterdir()} == {"lists", "lists.lock"}


@pytest.mark.parametrize(
    "broken", [b"", DATA[:-1], b"x" + DATA[1:]], ids=["empty", "cut off", "altered"]
)
def test_a_broken_file_is_made_again(folder: Path, broken: bytes) -> None:
    folder.mkdir()
    (folder / "lists").write_bytes(broken)
    assert bytes(mapped("lists", DIGEST, Kept())) == DATA
    assert (folder / "lists").read_bytes() == DATA


def test_data_that_was_replaced_since_its_digest_was_read_is_used(folder: Path) -> None:
    assert bytes(mapped("lists", DIGEST, Kept(b"of a moment later"))) == b"of a moment later"
    assert bytes(mapped("lists", DIGEST, Kept())) == DATA


def test_where_no_file_can_be_made_the_bytes_are_used_as_they_are(folder: Path) -> None:
    folder.write_text("in the way")
    assert mapped("lists", DIGEST, Kept()) == DATA
