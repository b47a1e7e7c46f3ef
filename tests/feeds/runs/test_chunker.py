"""Chunks of a run: every one fits an event, whatever tags the feed has."""

import io
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, BinaryIO, ClassVar
from uuid import UUID

import msgspec
import numpy as np
import pytest

from services.feeds.formats.base import ParsedBatch, ParsedIndicator
from services.feeds.runs.chunks import Chunker
from services.feeds.snapshots.document_parser import parser_of
from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.parse_report import ParseReport
from shared.errors import InvalidInput
from shared.events import MAX_EVENT_BYTES, FeedRef
from shared.events.feeds import MAX_INDICATOR_BYTES, IndicatorsObserved


@pytest.mark.parametrize("letter", ["x", "\N{GRINNING FACE}", "\x01"])
def test_every_chunk_fits_an_event_with_the_longest_head(letter: str) -> None:
    head = IndicatorsObserved(
        FeedRef(UUID(int=1), letter * 200),
        UUID(int=2),
        0,
        0,
        "2026-01-01T00:00:00.000Z",
        tags=tuple(f"{number}{letter * 98}" for number in range(50)),
        is_repetition=True,
    )
    texts = [
        msgspec.json.encode(ParsedIndicator("domain-name", f"{'d' * 900}{number}.example"))
        for number in range(3_000)
    ]
    ids = np.zeros(len(texts), np.uint64)
    payloads = [payload for _, payload in Chunker(head).seen([(ids, texts)])]
    assert max(map(len, payloads)) <= MAX_EVENT_BYTES
    chunks = [msgspec.json.decode(payload, type=IndicatorsObserved) for payload in payloads]
    assert [chunk.chunk for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk.is_repetition for chunk in chunks)
    values = [item.value for chunk in chunks for item in chunk.seen]
    assert values == [f"{'d' * 900}{number}.example" for number in range(3_000)]


def test_a_run_with_news_alone_is_no_repetition() -> None:
    head = IndicatorsObserved(FeedRef(UUID(int=1), "list"), UUID(int=2), 0, 0, "2026-01-01")
    rows = [(np.zeros(1, np.uint64), [msgspec.json.encode(ParsedIndicator("url", "http://a/"))])]
    ((_, payload),) = Chunker(head).seen(rows)
    assert b"repetition" not in payload


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"url","value":"http://a/"}],"feed":{"id":"0","name":"other"},"gone":[{}',
        b'{"type":"url"',
        b'{"type":"url"} {}',
        b"",
    ],
)
def test_a_text_that_leaves_its_list_is_refused(text: bytes) -> None:
    head = IndicatorsObserved(FeedRef(UUID(int=1), "list"), UUID(int=2), 0, 0, "2026-01-01")
    rows = [(np.zeros(2, np.uint64), [msgspec.json.encode(ParsedIndicator("url", "u")), text])]
    with pytest.raises(InvalidInput, match="no indicator"):
        list(Chunker(head).seen(rows))


class WithLargeIndicator:
    """A third party's format, which does not limit its tags."""

    name: ClassVar[str] = "large"
    media: ClassVar[tuple[str, ...]] = ()
    incremental: ClassVar[bool] = True

    def parse(self, stream: BinaryIO, _options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        large = ParsedIndicator("ipv4-addr", "192.0.2.2", tags=("t" * MAX_INDICATOR_BYTES,))
        small = [ParsedIndicator("ipv4-addr", f"192.0.2.{number}") for number in (1, 3)]
        stream.read(1)
        yield ParsedBatch([small[0], large, small[1]])


def test_an_indicator_that_no_event_takes_is_dropped_with_its_reason() -> None:
    report = ParseReport()
    reader = DocumentReader("", None, report)
    parse = parser_of(WithLargeIndicator(), {}, lambda: nullcontext(io.BytesIO(b"x")))
    snapshot = reader.read_all(parse)
    assert [b"192.0.2.2" in text for text in snapshot.indicators(np.arange(2))] == [False, False]
    assert report.dropped == {"too-large": 1}
    assert report.examples[0].raw == "192.0.2.2"
