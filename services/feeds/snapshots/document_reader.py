"""From the blocks of a document to its snapshot.

Blocks come from a parser, which may run in another process. They are checked for what the rest
relies on: a parser that a document broke may say anything.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.feeds.formats.base import ParsedIndicator
from services.feeds.snapshots.indicator_texts import Indices, Texts
from services.feeds.snapshots.line_index import UNKNOWN_LINE, LineIndex, LineNumbers
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
from services.feeds.snapshots.snapshot import Digests, FeedSnapshot
from shared.errors import InvalidInput

_NO_DIGESTS: Final[Digests] = np.empty(0, np.uint64)


class Rows(NamedTuple):
    """Rows that were just read.

    Attributes:
        positions: index of each row's line in the document; empty when it is not read by lines.
        lines: digest of each row's line; empty likewise.
        ids: digest of each row's observable.
        text_digests: digest of each row's text.
        kinds: index into `TYPES` for each row.
        texts: the encoded indicators; empty when they are not wanted block by block.
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
        self, provenance_digest: str, previous: FeedSnapshot | None, report: ParseReport
    ) -> None:
        self.touched: Digests | None = None
        self.retracted: list[ParsedIndicator] = []
        self.named = 0
        self._provenance_digest = provenance_digest
        self._previous = previous
        self._report = report
        self._parser_digest = ""
        self._rows: list[Rows] = []
        self._packed: list[bytes] = []
        self._line_index: LineIndex | None = None
        self._line_numbers: list[LineNumbers] = []

    def read(self, parse: Parse) -> Generator[Rows, None, None]:
        """Read the document to its end; what is new comes block by block, with its texts.

        Args:
            parse: parses the document.

        Raises:
            MalformedDocument, InvalidInput: see `Format.parse`.
        """
        for message in parse(self._order(wants_texts=True)):
            rows = self._add(message)
            if rows is not None and len(rows.ids):
                yield rows

    def read_all(self, parse: Parse, after_block: Callable[[], None] | None = None) -> FeedSnapshot:
        """Read the document to its end; its snapshot.

        Args:
            parse: parses the document.
            after_block: called after each block; may raise to stop.

        Raises:
            MalformedDocument, InvalidInput: see `Format.parse`.
        """
        for message in parse(self._order(wants_texts=False)):
            self._add(message)
            if after_block is not None:
                after_block()
        return self.snapshot()

    def snapshot(self) -> FeedSnapshot:
        """The snapshot of a document that was read to its end; to be called once."""
        if self._line_index is not None and not self._line_numbers:
            raise InvalidInput("The reader of this document said nothing of its lines.")
        fresh = self._fresh_rows()
        positions = self._joined("positions", np.int64)
        self._rows = []
        first = _first_places(fresh.lines, positions) if len(positions) else np.arange(len(fresh))
        if self._line_index is not None:
            return self._merge_with_previous(self._line_index, fresh, positions, first)
        self.named = len(fresh)
        return fresh if len(first) == len(fresh) else fresh.merged(fresh.without_rows(), first)

    def _order(self, *, wants_texts: bool) -> ParseOrder:
        before = self._previous
        if before is None or before.types != TYPES or not len(before.lines):
            return ParseOrder(wants_texts=wants_texts)
        return ParseOrder(before.parser_digest, before.lines, wants_texts)

    def _add(self, message: ParserMessage) -> Rows | None:
        if isinstance(message, ParsedBlock):
            return self._add_block(message)
        if isinstance(message, ParsingStarted):
            self._start(message)
        elif isinstance(message, ParsingRestarted):
            self.retracted = []
            self._rows = []
            self._packed = []
            self._line_numbers = []
            self._line_index = None
        elif isinstance(message, ParsingEnded):
            self._report.add(message.summary)
        return None

    def _start(self, message: ParsingStarted) -> None:
        self._parser_digest = message.parser_digest
        if message.knows_lines and self._previous is not None:
            self._line_index = LineIndex(self._previous.lines)

    def _add_block(self, block: ParsedBlock) -> Rows:
        numbers = np.frombuffer(block.numbers, np.int32)
        rows = Rows(
            np.frombuffer(block.positions, np.int64),
            np.frombuffer(block.lines, np.uint64),
            np.frombuffer(block.ids, np.uint64),
            np.frombuffer(block.text_digests, np.uint64),
            np.frombuffer(block.kinds, np.uint8),
            block.texts.split(b"\n")[:-1] if block.texts else (),
        )
        self._check(block, rows, numbers)
        self.retracted += block.retracted
        if self._line_index is not None:
            self._line_numbers.append(numbers)
        if len(rows.ids):
            self._rows.append(rows._replace(texts=()))
            # Stored in one piece: a million small texts would take twice the memory.
            self._packed.append(block.packed)
        return rows

    def _check(self, block: ParsedBlock, rows: Rows, numbers: LineNumbers) -> None:
        """Check that a block's parts belong together, and point to lines that there are.

        Raises:
            InvalidInput: they do not.
        """
        count = len(rows.ids)
        by_line = len(rows.positions)
        lengths = (len(rows.text_digests), len(rows.kinds), block.packed.count(b"\n"))
        is_whole = lengths == (count, count, count) and by_line == len(rows.lines)
        is_whole = is_whole and by_line in {0, count} and len(rows.texts) in {0, count}
        if is_whole and count:
            is_whole = bool(rows.kinds.max() < len(TYPES))
        if is_whole and len(numbers):
            index = self._line_index
            is_whole = (
                index is not None
                and bool(numbers.min() >= UNKNOWN_LINE)
                and bool(numbers.max() < len(index))
            )
        if not is_whole:
            raise InvalidInput("The reader of this document gave parts that do not fit together.")

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
        fresh = FeedSnapshot(
            parser_digest=self._parser_digest,
            provenance_digest=self._provenance_digest,
            lines=self._joined("lines", np.uint64),
            ids=self._joined("ids", np.uint64),
            text_digests=self._joined("text_digests", np.uint64),
            kinds=self._joined("kinds", np.uint8),
            texts=Texts(b"".join(self._packed)),
            types=TYPES,
        )
        self._packed = []
        return fresh

    def _joined(self, name: str, kind: type[np.generic]) -> Any:
        arrays = [getattr(rows, name) for rows in self._rows]
        return np.concatenate(arrays) if arrays else np.empty(0, kind)


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
