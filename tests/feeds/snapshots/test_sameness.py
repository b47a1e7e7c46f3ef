"""A document gives the same uploaded or fetched, plain or wrapped, at once or step by step."""

import gzip
import io
from contextlib import nullcontext

import msgspec
import numpy as np
import pytest

from services.feeds.catalog.checks import SAMPLES
from services.feeds.catalog.service import get_entry, list_entries
from services.feeds.formats.registry import format_named
from services.feeds.snapshots.document_parser import parser_of
from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.parse_report import ParseReport
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


def published(desk: Desk, run: dict) -> list[bytes]:
    assert desk.done(run)["state"] == "succeeded"
    return sorted(msgspec.json.encode(item) for chunk in desk.published(run) for item in chunk.seen)


@pytest.mark.parametrize("slug", ONE_OF_EACH)
def test_a_file_gives_what_an_address_gives(
    desk: Desk, provider: tuple[str, type[Provider]], slug: str
) -> None:
    entry = get_entry(slug)
    sample = (SAMPLES / f"{slug}.sample").read_bytes()
    url, handler = provider
    handler.body = sample
    feed = desk.feed(
        name="fetched", url=url, kind=entry.kind, format=entry.format, options=entry.options
    )
    fetched = published(desk, desk.fetch(feed))
    options = msgspec.json.encode(entry.options).decode()
    upload = desk.upload(
        gzip.compress(sample), name="uploaded", format=entry.format, options=options
    )
    uploaded = published(desk, upload)
    assert fetched == uploaded
    assert fetched


def read(
    format_: str, options: dict, data: bytes, before: FeedSnapshot | None
) -> tuple[FeedSnapshot, DocumentReader]:
    reader = DocumentReader("", before, ParseReport())
    parse = parser_of(format_named(format_), options, lambda: nullcontext(io.BytesIO(data)))
    return reader.read_all(parse), reader


def step_by_step(format_: str, options: dict, data: bytes) -> None:
    """Half of the lines, then all, then all again: each step ends as if all were read at once."""
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


@pytest.mark.parametrize("slug", [entry.slug for entry in list_entries()])
def test_a_sample_read_step_by_step_is_the_sample(slug: str) -> None:
    entry = get_entry(slug)
    step_by_step(entry.format, entry.options, (SAMPLES / f"{slug}.sample").read_bytes())


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_read_step_by_step_is_the_file(name: str) -> None:
    path = SAMPLE_DATA / name
    if not path.exists():
        pytest.skip("the real files are not here")
    options = {"columns": {"value": "SHA-1"}, "type": "file-sha1"} if name == "aptnotes.csv" else {}
    format_ = {"ipsum.txt": "text", "aptnotes.csv": "csv", "maltrail-emotet.txt": "text"}.get(name)
    step_by_step(format_ or ("stix" if "stix" in name else "misp"), options, path.read_bytes())
