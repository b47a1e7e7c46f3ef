"""What a parser says of a document, as it is sent from one process to another."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from services.feeds.formats.base import ParsedIndicator
from services.feeds.snapshots.parse_report import ParseSummary
from services.feeds.snapshots.snapshot import Digests
from shared.stix import ObservableType

TYPES = tuple(ObservableType)


class ParsingStarted(msgspec.Struct, array_like=True, tag=1):
    """The parser has seen the document's beginning.

    Attributes:
        parser_digest: of what decides how it is parsed, see `FeedSnapshot`.
        knows_lines: whether the lines of the previous snapshot were parsed alike, so that only
            others are parsed.
    """

    parser_digest: str
    knows_lines: bool = False


class ParsingRestarted(msgspec.Struct, array_like=True, tag=2):
    """Lines depend on each other: what was said before is void, the document is read again."""


class ParsedBlock(msgspec.Struct, array_like=True, tag=3):
    """A piece of the document.

    Attributes:
        numbers: int32 for each of its lines, the number of the line in the previous snapshot, or
            `UNKNOWN_LINE`; empty when no lines are known.
        positions: int64 for each row, the index of its line in the document; empty when it is not
            read by lines.
        lines: uint64 for each row, the digest of its line; empty likewise.
        ids: uint64 for each row, the digest of its observable.
        text_digests: uint64 for each row, the digest of its packed text.
        kinds: uint8 for each row, an index into `TYPES`.
        packed: the packed texts, each with a line end.
        texts: the encoded indicators, each with a line end; empty unless they are wanted.
        retracted: indicators that the source takes back.
    """

    numbers: bytes = b""
    positions: bytes = b""
    lines: bytes = b""
    ids: bytes = b""
    text_digests: bytes = b""
    kinds: bytes = b""
    packed: bytes = b""
    texts: bytes = b""
    retracted: list[ParsedIndicator] = []


class ParsingEnded(msgspec.Struct, array_like=True, tag=4):
    """The parser has come to the document's end, or to what it cannot read.

    Attributes:
        summary: what it left out, and what the format decided.
    """

    summary: ParseSummary


ParserMessage = ParsingStarted | ParsingRestarted | ParsedBlock | ParsingEnded


class ParseOrder(NamedTuple):
    """What a reader asks of a parser.

    Attributes:
        known_digest: parser digest of the previous snapshot; None without one.
        known_lines: digest of the line of each of its rows.
        wants_texts: whether the encoded indicators are needed block by block.
    """

    known_digest: str | None = None
    known_lines: Digests | None = None
    wants_texts: bool = False


Parse = Callable[[ParseOrder], Iterator[ParserMessage]]
"""Parses a document, here or in another process."""
