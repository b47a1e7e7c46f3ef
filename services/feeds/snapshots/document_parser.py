"""From a document to blocks of rows: of a list, only lines that are new are parsed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from itertools import compress
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
from xxhash import xxh3_64_digest

from services.feeds.formats.base import (
    DroppedItem,
    Format,
    LineFormat,
    LineReader,
    LinesNotIndependent,
    ParsedIndicator,
    ReadLines,
    excerpt,
)
from services.feeds.formats.streams import whole_lines
from services.feeds.formats.unit_account import NO_OBSERVABLE, account_of_lines
from services.feeds.snapshots.indicator_texts import Indices, pack
from services.feeds.snapshots.line_index import UNKNOWN_LINE, LineIndex
from services.feeds.snapshots.parse_report import ParseReport
from services.feeds.snapshots.parsed_blocks import (
    TYPES,
    Parse,
    ParsedBlock,
    ParseOrder,
    ParserMessage,
    ParsingEnded,
    ParsingRestarted,
    ParsingStarted,
)
from services.feeds.snapshots.snapshot import Digests
from shared.errors import InvalidInput
from shared.events.feeds import MAX_INDICATOR_BYTES
from shared.stix.ids import observable_uuid
from shared.stix.markings import NOT_FOR_ALL_TENANTS, STRICTNESS, marking_of

_CODES: Final = {str(kind): code for code, kind in enumerate(TYPES)}
_HEAD_LINES: Final = 200
_encode: Final = msgspec.json.Encoder().encode
_NO_DIGESTS: Final[Digests] = np.empty(0, np.uint64)
_READ_AGAIN: Final = np.uint64(1)
"""Makes a line's digest that of no line."""
_NO_POSITIONS: Final[Indices] = np.empty(0, np.int64)

OpenDocument = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens a document, from its beginning."""


def parser_of(format_: Format, options: Mapping[str, Any], document: OpenDocument) -> Parse:
    """A parser of one document, in this process.

    Args:
        format_: the document's format.
        options: the format's options.
        document: opens it; called a second time when its lines depend on each other.
    """
    return partial(_parse, format_, options, document)


def _parse(
    format_: Format, options: Mapping[str, Any], document: OpenDocument, order: ParseOrder
) -> Iterator[ParserMessage]:
    return DocumentParser(format_, options, order).parse(document)


class DocumentParser:
    """Parses one document of a feed.

    Args:
        format_: the document's format.
        options: the format's options.
        order: what is known by now, and wanted.
        is_public: whether all tenants read the feed; what is marked for fewer is withheld then.
    """

    def __init__(
        self,
        format_: Format,
        options: Mapping[str, Any],
        order: ParseOrder,
        *,
        is_public: bool = False,
    ) -> None:
        self._format = format_
        self._is_public = is_public
        self._options = options
        self._order = order
        self._report = ParseReport()
        self._line_index: LineIndex | None = None

    def parse(self, document: OpenDocument) -> Iterator[ParserMessage]:
        """Parse the document to its end.

        Args:
            document: opens it; called a second time when its lines depend on each other.

        Raises:
            MalformedDocument, InvalidInput: see `Format.parse`. The summary has come by then.
        """
        try:
            yield from self._messages(document)
        except InvalidInput:
            yield ParsingEnded(self._report.summary())
            raise
        yield ParsingEnded(self._report.summary())

    def _messages(self, document: OpenDocument) -> Iterator[ParserMessage]:
        if isinstance(self._format, LineFormat):
            state = self._report.state()
            try:
                with document() as stream:
                    yield from self._parse_lines(self._format, stream)
            except LinesNotIndependent:
                self._line_index = None
                self._report.restart(state)
                yield ParsingRestarted()
            else:
                return
        yield ParsingStarted(self._digest(""))
        with document() as stream:
            for batch in self._format.parse(stream, self._options):
                self._report.count_dropped(batch.dropped)
                self._report.notes += batch.notes
                self._report.count_units(batch.account)
                if batch.indicators:
                    yield self._block(batch.indicators, _NO_POSITIONS, _NO_DIGESTS)

    def _parse_lines(self, format_: LineFormat, stream: BinaryIO) -> Iterator[ParserMessage]:
        reader: LineReader | None = None
        number = 0
        for block in whole_lines(stream, self._report.notes):
            lines = block.split(b"\n")
            if reader is None:
                head = [line.decode("utf-8", "replace") for line in lines[:_HEAD_LINES]]
                reader = self._open_reader(format_, head)
                parser_digest = self._digest(reader.layout)
                self._line_index = self._known_lines(parser_digest)
                yield ParsingStarted(parser_digest, self._line_index is not None)
            digests = np.frombuffer(b"".join(map(xxh3_64_digest, lines)), np.uint64)
            numbers = None
            unknown = None
            if self._line_index is not None:
                numbers = self._line_index.find(digests)
                header = (getattr(reader, "header", None) or 0) - number - 1
                if 0 <= header < len(numbers):
                    # A header may have the text of a row further down, which is known.
                    numbers[header] = UNKNOWN_LINE
                unknown = np.flatnonzero(numbers == UNKNOWN_LINE)
            parsed = self._parse_block(reader, block, lines, digests, number, unknown)
            if numbers is not None:
                parsed.numbers = numbers.tobytes()
            if parsed.ids or parsed.numbers or parsed.retracted:
                yield parsed
            number += len(lines)

    def _open_reader(self, format_: LineFormat, head: list[str]) -> LineReader:
        reader = format_.reader(head, self._options)
        if reader is None:
            raise LinesNotIndependent
        self._report.notes += reader.notes
        return reader

    def _known_lines(self, parser_digest: str) -> LineIndex | None:
        """The lines of the previous snapshot, if they were parsed alike."""
        lines = self._order.known_lines
        if lines is None or not len(lines) or self._order.known_digest != parser_digest:
            return None
        return LineIndex(lines)

    def _parse_block(
        self,
        reader: LineReader,
        block: bytes,
        lines: list[bytes],
        digests: Digests,
        number: int,
        unknown: Indices | None,
    ) -> ParsedBlock:
        """The rows of the unknown lines of a block; of all lines when `unknown` is None."""
        if unknown is None:
            unknown = np.arange(len(lines))
            texts: Sequence[str] = block.decode("utf-8", "replace").split("\n")
        else:
            texts = [lines[at].decode("utf-8", "replace") for at in unknown.tolist()]
        result = reader.read(texts, (unknown + number + 1).tolist())
        self._report.count_dropped(result.dropped)
        self._count_lines(result, len(texts), len(lines) - len(texts))
        if not result.indicators:
            return ParsedBlock()
        places = unknown[result.lines]
        line_digests = digests[places]
        if result.dropped_lines:
            # A line of which something was dropped is read each time, so that it is told each time.
            line_digests = line_digests.copy()
            line_digests[np.isin(result.lines, result.dropped_lines)] ^= _READ_AGAIN
        return self._block(result.indicators, places + number, line_digests)

    def _count_lines(self, result: ReadLines, read: int, repeated: int) -> None:
        """Count what became of lines that were read, and of repeated ones: each was read before."""
        account = result.account
        if account is None:  # a format of a plug-in that does not count
            account = account_of_lines(read, result.lines, (), {})
            account.count_context(NO_OBSERVABLE, account.unaccounted)
        account.total += repeated
        account.read += repeated
        self._report.count_units(account)

    def _block(
        self, indicators: list[ParsedIndicator], positions: Indices, lines: Digests
    ) -> ParsedBlock:
        self._report.named += len(indicators)
        if not len(positions):
            # Of what a document says twice the first counts: a marking binds wherever it stands.
            indicators.sort(key=_openness)
        texts = list(map(_encode, indicators))
        is_listed = [
            len(text) <= MAX_INDICATOR_BYTES and not item.retracted and not self._is_withheld(item)
            for text, item in zip(texts, indicators, strict=True)
        ]
        retracted: list[ParsedIndicator] = []
        if not all(is_listed):
            retracted = [item for item in indicators if item.retracted]
            self._count_unlisted(indicators, texts, positions)
            if len(positions):
                positions = positions[is_listed]
                lines = lines[is_listed]
            indicators = list(compress(indicators, is_listed))
            texts = list(compress(texts, is_listed))
        packed = [pack(text, item.type) for text, item in zip(texts, indicators, strict=True)]
        return ParsedBlock(
            positions=positions.tobytes(),
            lines=lines.tobytes(),
            ids=b"".join([observable_uuid(item.type, item.value)[:8] for item in indicators]),
            text_digests=b"".join(map(xxh3_64_digest, packed)),
            kinds=bytes([_CODES[item.type] for item in indicators]),
            packed=b"\n".join([*packed, b""]),
            texts=b"\n".join([*texts, b""]) if self._order.wants_texts else b"",
            retracted=retracted,
        )

    def _is_withheld(self, item: ParsedIndicator) -> bool:
        """Whether an indicator is marked for fewer readers than its feed has."""
        return self._is_public and bool(item.tags) and marking_of(item.tags) in NOT_FOR_ALL_TENANTS

    def _count_unlisted(
        self, indicators: list[ParsedIndicator], texts: list[bytes], positions: Indices
    ) -> None:
        """Count what is too large for an event, and what is marked for fewer readers."""
        for number, (item, text) in enumerate(zip(indicators, texts, strict=True)):
            if item.retracted:
                continue
            if self._is_withheld(item):
                reason = "marked for fewer readers"
                detail = "All tenants read this feed; subscribe to it in the tenant that may read."
            elif len(text) > MAX_INDICATOR_BYTES:
                reason = "too-large"
                detail = f"It has {len(text):,} bytes; {MAX_INDICATOR_BYTES:,} is the limit."
            else:
                continue
            place = f"line {positions[number] + 1}" if len(positions) else "document"
            self._report.count_dropped([DroppedItem(place, excerpt(item.value), reason, detail)])

    def _digest(self, layout: str) -> str:
        # Another release may read the same line differently.
        deciding = [version("sentineliq"), self._format.name, dict(self._options), layout]
        if self._is_public:
            deciding.append("public")
        return hashlib.sha256(msgspec.json.encode(deciding, order="deterministic")).hexdigest()


def _openness(item: ParsedIndicator) -> int:
    """How many may read an indicator: the fewer, the lower."""
    return -STRICTNESS.get(marking_of(item.tags) or "clear", 0) if item.tags else 0
