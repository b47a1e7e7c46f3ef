"""Blocks of a parser that a document has taken over are refused where they do not fit together."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.parse_report import ParseReport
from services.feeds.snapshots.parsed_blocks import (
    TYPES,
    ParsedBlock,
    ParseOrder,
    ParserMessage,
    ParsingEnded,
    ParsingStarted,
)
from services.feeds.snapshots.snapshot import FeedSnapshot
from shared.errors import InvalidInput

TWO = np.array([1, 2], np.uint64).tobytes()
PLACES = np.array([0, 1], np.int64).tobytes()
GOOD = ParsedBlock(
    positions=PLACES,
    lines=TWO,
    ids=TWO,
    text_digests=TWO,
    kinds=b"\0\1",
    packed=b'"192.0.2.1"\n"2001:db8::1"\n',
)


def read(*messages: ParserMessage, before: FeedSnapshot | None = None) -> FeedSnapshot:
    def parse(_order: ParseOrder) -> Iterator[ParserMessage]:
        yield from messages
        yield ParsingEnded(ParseReport().summary())

    return DocumentReader("", before, ParseReport()).read_all(parse)


def test_a_block_whose_parts_fit_is_taken() -> None:
    snapshot = read(ParsingStarted("x"), GOOD)
    texts = snapshot.indicators(np.arange(2))
    assert next(texts) == b'{"type":"ipv4-addr","value":"192.0.2.1"}'


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": TWO[:8]},
        {"text_digests": TWO + TWO},
        {"kinds": b"\0"},
        {"kinds": bytes([0, len(TYPES)])},
        {"packed": b'"a"\n'},
        {"packed": b'"a"\n"b"\n"c"\n'},
        {"positions": PLACES[:8]},
        {"lines": TWO[:8]},
        {"positions": PLACES[:8], "lines": TWO[:8]},
        {"texts": b"{}\n"},
        {"numbers": np.array([0], np.int32).tobytes()},
    ],
)
def test_a_block_whose_parts_do_not_fit_is_refused(changes: dict[str, bytes]) -> None:
    block = msgspec.structs.replace(GOOD, **changes)
    with pytest.raises(InvalidInput, match="do not fit together"):
        read(ParsingStarted("x"), block)


@pytest.mark.parametrize("number", [-2, 2, 2**31 - 1])
def test_a_line_that_was_not_there_is_refused(number: int) -> None:
    before = read(ParsingStarted("x"), GOOD)
    block = ParsedBlock(numbers=np.array([0, number], np.int32).tobytes())
    with pytest.raises(InvalidInput, match="do not fit together"):
        read(ParsingStarted("x", knows_lines=True), block, before=before)


def test_lines_that_nothing_is_said_of_are_refused() -> None:
    before = read(ParsingStarted("x"), GOOD)
    with pytest.raises(InvalidInput, match="said nothing"):
        read(ParsingStarted("x", knows_lines=True), before=before)
