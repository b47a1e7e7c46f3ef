"""A document says the same whether it is uploaded or fetched, plain or wrapped, read from nothing or step by step."""

import gzip
import io
from contextlib import nullcontext

import msgspec
import numpy as np
import pytest

from services.feeds.catalog.catalog import SAMPLES, entries, entry
from services.feeds.formats.registry import format_named
from services.feeds.runs.report import RunReport
from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.snapshot import FeedSnapshot, compare
from tests.conftest import SAMPLE_DATA
from tests.feeds.conftest import Desk, Provider

ONE_OF_EACH = (
    "urlhaus",
    "feodo-tracker",
    "spamhaus-drop-v4",
    "ipsum-level1",
    "stevenblack-hosts",
    "securelist",
)
REAL = (
    "ipsum.txt",
    "aptnotes.csv",
    "maltrail-emotet.txt",
    "stix21-poison-ivy.json",
    "misp-event-winter-vivern.json",
)


def said(desk: Desk, run: dict) -> list[bytes]:
    assert desk.done(run)["state"] == "succeeded"
    return sorted(msgspec.json.encode(one) for chunk in desk.published(run) for one in chunk.seen)


@pytest.mark.parametrize("slug", ONE_OF_EACH)
def test_a_file_says_what_an_address_says(
    desk: Desk, provider: tuple[str, type[Provider]], slug: str
) -> None:
    one, sample = entry(slug), (SAMPLES / f"{slug}.sample").read_bytes()
    url, handler = provider
    handler.body = sample
    reading = {"format": one.format, "options": one.options}
    fetched = said(desk, desk.fetch(desk.feed(name="fetched", url=url, kind=one.kind, **reading)))
    options = msgspec.json.encode(one.options).decode()
    uploaded = said(
        desk,
        desk.upload(gzip.compress(sample), name="uploaded", format=one.format, options=options),
    )
    assert fetched == uploaded
    assert fetched


def read(
    format_: str, options: dict, data: bytes, before: FeedSnapshot | None
) -> tuple[FeedSnapshot, DocumentReader]:
    reader = DocumentReader(format_named(format_), options, "", before, RunReport())
    for _ in reader.read(lambda: nullcontext(io.BytesIO(data))):
        continue
    return reader.version(), reader


def step_by_step(format_: str, options: dict, data: bytes) -> None:
    """Half of the lines first, then all, then all again: each step ends where reading everything at once ends."""
    whole, _ = read(format_, options, data, None)
    lines = data.split(b"\n")
    half = b"\n".join([*lines[:20], *lines[20::2]])
    steps = [data, data]
    if format_ in ("text", "csv"):
        steps.insert(0, half)
    before: FeedSnapshot | None = None
    for step in steps:
        after, reader = read(format_, options, step, before)
        difference = compare(before, after, reader.touched)
        before = after
    every = np.arange(len(whole))
    assert list(after.indicators(every)) == list(whole.indicators(every))
    assert not len(difference.seen)
    assert not len(difference.gone)


@pytest.mark.parametrize("slug", [one.slug for one in entries()])
def test_a_sample_read_step_by_step_is_the_sample(slug: str) -> None:
    one = entry(slug)
    step_by_step(one.format, one.options, (SAMPLES / f"{slug}.sample").read_bytes())


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_read_step_by_step_is_the_file(name: str) -> None:
    path = SAMPLE_DATA / name
    if not path.exists():
        pytest.skip("the real files are not here")
    options = {"columns": {"value": "SHA-1"}, "type": "file-sha1"} if name == "aptnotes.csv" else {}
    format_ = {"ipsum.txt": "text", "aptnotes.csv": "csv", "maltrail-emotet.txt": "text"}.get(name)
    step_by_step(format_ or ("stix" if "stix" in name else "misp"), options, path.read_bytes())
