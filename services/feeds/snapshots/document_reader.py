"""From a document to a snapshot: of a list, only lines that are new are parsed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from itertools import compress
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
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
from services.feeds.snapshots.indicator_texts import Indices, Texts, pack
from services.feeds.snapshots.line_index import UNKNOWN_LINE, LineIndex, LineNumbers
from services.feeds.snapshots.parse_report import ParseReport
from services.feeds.snapshots.snapshot import Digests, FeedSnapshot
from shared.events.feeds import MAX_INDICATOR_BYTES
from shared.stix import ObservableType
from shared.stix.ids import observable_uuid

TYPES: Final = tuple(ObservableType)
_CODES: Final = {str(kind): code for code, kind in enumerate(TYPES)}
_HEAD_LINES: Final = 200
_encode: Final = msgspec.json.Encoder().encode
_NO_DIGESTS: Final[Digests] = np.empty(0, np.uint64)
_READ_AGAIN: Final = np.uint64(1)
"""Makes a line's digest that of no line."""
_NO_POSITIONS: Final[Indices] = np.empty(0, np.int64)

OpenDocument = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens a document, from its beginning."""


class Rows(NamedTuple):
    """Rows that were just read.

    Attributes:
        positions: index of each row's line in the document; empty when it is not read by lines.
        lines: digest of each row's line; empty likewise.
        ids: digest of each row's observable.
        text_digests: digest of each row's text.
        kinds: index into `TYPES` for each row.
        texts: the encoded indicators.
    """

    positions: Indices
    lines: Digests
    ids: Digests
    text_digests: Digests
    kinds: npt.NDArray[np.uint8]
    texts: Sequence[bytes]


class DocumentReader:
    """Reads one document of a feed.

    Args:
        format_: the document's format.
        options: the format's options.
        provenance_digest: goes into the snapshot, see there.
        previous: the snapshot before it, if there is one.
        report: counts what is left out, and takes the format's notes.

    Attributes:
        touched: observables of lines that came or went, where nothing else can have changed; set
            together with the snapshot.
        retracted: indicators that the source takes back.
        named: how often the document names what it lists; more than it lists when it names some
            twice. Set together with the snapshot.
    """

    def __init__(
        self,
        format_: Format,
        options: Mapping[str, Any],
        provenance_digest: str,
        previous: FeedSnapshot | None,
        report: ParseReport,
    ) -> None:
        self.touched: Digests | None = None
        self.retracted: list[ParsedIndicator] = []
        self.named = 0
        self._format = format_
        self._options = options
        self._provenance_digest = provenance_digest
        self._previous = previous
        self._report = report
        self._parser_digest = ""
        self._rows: list[Rows] = []
        self._line_index: LineIndex | None = None
        self._line_numbers: list[LineNumbers] = []

    def read(self, document: OpenDocument) -> Iterator[Rows]:
        """Read the document to its end; what is new comes block by block.

        Args:
            document: opens it; called a second time when its lines depend on each other.

        Raises:
            MalformedDocument, InvalidInput: see `Format.parse`.
        """
        if isinstance(self._format, LineFormat):
            state = self._report.state()
            try:
                with document() as stream:
                    yield from self._read_lines(self._format, stream)
            except LinesNotIndependent:
                self._restart(state)
            else:
                return
        self._parser_digest = self._digest("")
        with document() as stream:
            for batch in self._format.parse(stream, self._options):
                self._report.count_dropped(batch.dropped)
                self._report.notes += batch.notes
                self._report.count_units(batch.account)
                if batch.indicators:
                    yield self._add_rows(batch.indicators, _NO_POSITIONS, _NO_DIGESTS)

    def read_all(
        self, document: OpenDocument, after_block: Callable[[], None] | None = None
    ) -> FeedSnapshot:
        """Read the document to its end; its snapshot.

        Args:
            document: opens it.
            after_block: called after each block; may raise to stop.

        Raises:
            MalformedDocument, InvalidInput: see `Format.parse`.
        """
        for _ in self.read(document):
            if after_block is not None:
                after_block()
        return self.snapshot()

    def snapshot(self) -> FeedSnapshot:
        """The snapshot of a document that was read to its end; to be called once."""
        fresh = self._fresh_rows()
        positions = self._joined("positions", np.int64)
        self._rows = []
        first = _first_places(fresh.lines, positions) if len(positions) else np.arange(len(fresh))
        if self._line_index is not None:
            return self._merge_with_previous(self._line_index, fresh, positions, first)
        self.named = len(fresh)
        return fresh if len(first) == len(fresh) else fresh.merged(fresh.without_rows(), first)

    def _restart(self, state: ParseReport) -> None:
        self.retracted = []
        self._rows = []
        self._line_numbers = []
        self._line_index = None
        self._report.restart(state)

    def _merge_with_previous(
        self, line_index: LineIndex, fresh: FeedSnapshot, positions: Indices, first: Indices
    ) -> FeedSnapshot:
        """Rows of the previous snapshot and rows that were read now, in the order of the document.

        Args:
            line_index: the lines of the previous snapshot.
            fresh: the rows that were read.
            positions: the line of each of its rows.
            first: those of its rows whose line does not stand further up as well.
        """
        assert self._previous is not None  # noqa: S101  # without it there is no line index
        before = self._previous
        self._line_index = None
        place, named = self._places(line_index)
        self._report.named += named
        self.named = named + len(fresh)
        is_unchanged = (
            not len(fresh) and place[0] != UNKNOWN_LINE and np.all(place[1:] > place[:-1])
        )
        if is_unchanged:
            self.touched = _NO_DIGESTS
            return replace(before, provenance_digest=self._provenance_digest)
        # From here on `place` is by row and no longer by line.
        place = place[line_index.line_of_row]
        del line_index
        is_listed_still = place != UNKNOWN_LINE
        staying = np.flatnonzero(is_listed_still)
        place = place[staying]
        if np.all(place[1:] >= place[:-1]):
            # The lines that stayed keep their order: only those that came or went can matter.
            changed_ids = (before.ids[~is_listed_still], fresh.ids[first])
            self.touched = np.unique(np.concatenate(changed_ids))
        order = np.argsort(np.concatenate((place, positions[first])), kind="stable")
        rows = np.concatenate((staying, first + len(before)))[order]
        # A million rows: free what is no longer needed before the texts are copied.
        del place, is_listed_still, staying, order
        merged = before.merged(fresh, rows)
        return replace(merged, provenance_digest=self._provenance_digest, counts=None)

    def _places(self, line_index: LineIndex) -> tuple[LineNumbers, int]:
        """The present place of each line of the previous snapshot, or `UNKNOWN_LINE`.

        Returns:
            The place of each line, and how many rows all places together make.
        """
        numbers = np.concatenate(self._line_numbers)
        self._line_numbers = []
        places = np.flatnonzero(numbers != UNKNOWN_LINE).astype(np.int32)
        lines = numbers[places]
        place = np.full(len(line_index), UNKNOWN_LINE, np.int32)
        # Written backwards: of a line that stands there twice the first place counts.
        place[lines[::-1]] = places[::-1]
        rows_of_line = np.bincount(line_index.line_of_row, minlength=len(line_index))
        return place, int(rows_of_line[lines].sum())

    def _fresh_rows(self) -> FeedSnapshot:
        """The rows that were read, in the order of the document."""
        return FeedSnapshot(
            parser_digest=self._parser_digest,
            provenance_digest=self._provenance_digest,
            lines=self._joined("lines", np.uint64),
            ids=self._joined("ids", np.uint64),
            text_digests=self._joined("text_digests", np.uint64),
            kinds=self._joined("kinds", np.uint8),
            texts=Texts(b"".join([text for rows in self._rows for text in rows.texts])),
            types=TYPES,
        )

    def _joined(self, name: str, kind: type[np.generic]) -> Any:
        arrays = [getattr(rows, name) for rows in self._rows]
        return np.concatenate(arrays) if arrays else np.empty(0, kind)

    def _read_lines(self, format_: LineFormat, stream: BinaryIO) -> Iterator[Rows]:
        reader: LineReader | None = None
        number = 0
        for block in whole_lines(stream, self._report.notes):
            lines = block.split(b"\n")
            if reader is None:
                head = [line.decode("utf-8", "replace") for line in lines[:_HEAD_LINES]]
                reader = self._open_reader(format_, head)
            digests = np.frombuffer(b"".join(map(xxh3_64_digest, lines)), np.uint64)
            unknown = None
            if self._line_index is not None:
                numbers = self._line_index.find(digests)
                header = (getattr(reader, "header", None) or 0) - number - 1
                if 0 <= header < len(numbers):
                    # A header may have the text of a row further down, which is known.
                    numbers[header] = UNKNOWN_LINE
                self._line_numbers.append(numbers)
                unknown = np.flatnonzero(numbers == UNKNOWN_LINE)
            rows = self._read_block(reader, block, lines, digests, number, unknown)
            if rows is not None:
                yield rows
            number += len(lines)

    def _open_reader(self, format_: LineFormat, head: list[str]) -> LineReader:
        """The document's line reader; the previous lines are indexed if they were parsed alike."""
        reader = format_.reader(head, self._options)
        if reader is None:
            raise LinesNotIndependent
        self._report.notes += reader.notes
        self._parser_digest = self._digest(reader.layout)
        before = self._previous
        if (
            before is not None
            and before.parser_digest == self._parser_digest
            and before.types == TYPES
            and len(before.lines)
        ):
            self._line_index = LineIndex(before)
        return reader

    def _read_block(
        self,
        reader: LineReader,
        block: bytes,
        lines: list[bytes],
        digests: Digests,
        number: int,
        unknown: Indices | None,
    ) -> Rows | None:
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
            return None
        places = unknown[result.lines]
        line_digests = digests[places]
        if result.dropped_lines:
            # A line of which something was dropped is read each time, so that it is told each time.
            line_digests = line_digests.copy()
            line_digests[np.isin(result.lines, result.dropped_lines)] ^= _READ_AGAIN
        return self._add_rows(result.indicators, places + number, line_digests)

    def _count_lines(self, result: ReadLines, read: int, repeated: int) -> None:
        """Count what became of lines that were read, and of repeated ones: each was read before."""
        account = result.account
        if account is None:  # a format of a plug-in that does not count
            account = account_of_lines(read, result.lines, (), {})
            account.count_context(NO_OBSERVABLE, account.unaccounted)
        account.total += repeated
        account.read += repeated
        self._report.count_units(account)

    def _add_rows(
        self, indicators: list[ParsedIndicator], positions: Indices, lines: Digests
    ) -> Rows:
        self._report.named += len(indicators)
        texts = list(map(_encode, indicators))
        is_listed = [
            len(text) <= MAX_INDICATOR_BYTES and not item.retracted
            for text, item in zip(texts, indicators, strict=True)
        ]
        if not all(is_listed):
            self._set_aside(indicators, texts, positions)
            if len(positions):
                positions = positions[is_listed]
                lines = lines[is_listed]
            indicators = list(compress(indicators, is_listed))
            texts = list(compress(texts, is_listed))
        packed = [pack(text, item.type) for text, item in zip(texts, indicators, strict=True)]
        ids = b"".join([observable_uuid(item.type, item.value)[:8] for item in indicators])
        rows = Rows(
            positions,
            lines,
            np.frombuffer(ids, np.uint64),
            np.frombuffer(b"".join(map(xxh3_64_digest, packed)), np.uint64),
            np.frombuffer(bytes([_CODES[item.type] for item in indicators]), np.uint8),
            texts,
        )
        # Stored in one piece: a million small texts would take twice the memory.
        self._rows.append(rows._replace(texts=(b"\n".join([*packed, b""]),)))
        return rows

    def _set_aside(
        self, indicators: list[ParsedIndicator], texts: list[bytes], positions: Indices
    ) -> None:
        """Remember what the source takes back, and count what is too large for an event."""
        self.retracted += [item for item in indicators if item.retracted]
        for number, (item, text) in enumerate(zip(indicators, texts, strict=True)):
            if item.retracted or len(text) <= MAX_INDICATOR_BYTES:
                continue
            place = f"line {positions[number] + 1}" if len(positions) else "document"
            detail = f"It has {len(text):,} bytes; {MAX_INDICATOR_BYTES:,} is the limit."
            self._report.count_dropped(
                [DroppedItem(place, excerpt(item.value), "too-large", detail)]
            )

    def _digest(self, layout: str) -> str:
        # Another release may read the same line differently.
        deciding = [version("sentineliq"), self._format.name, dict(self._options), layout]
        return hashlib.sha256(msgspec.json.encode(deciding, order="deterministic")).hexdigest()


def _first_places(lines: Digests, positions: Indices) -> Indices:
    """Rows whose line does not stand further up as well.

    Args:
        lines: digest of each row's line.
        positions: its place in the document, in ascending order.
    """
    is_line_begin = np.concatenate(([True], np.diff(positions) != 0))
    ordered = np.sort(lines[is_line_begin])
    if not np.any(ordered[1:] == ordered[:-1]):
        return np.arange(len(lines))
    distinct, first = np.unique(lines, return_index=True)
    return np.flatnonzero(positions[first[np.searchsorted(distinct, lines)]] == positions)
