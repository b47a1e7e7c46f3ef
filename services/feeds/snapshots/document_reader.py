"""From a document to a version: of a list only the lines that the previous version did not have are parsed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_digest

from services.feeds.formats.base import (
    Format,
    LineFormat,
    LineReader,
    LinesNotIndependent,
    ParsedIndicator,
)
from services.feeds.formats.streams import whole_lines
from services.feeds.runs.report import RunReport
from services.feeds.snapshots.indicator_texts import Indices, Texts, pack
from services.feeds.snapshots.line_index import UNKNOWN, KnownLines, Places
from services.feeds.snapshots.snapshot import Digests, FeedSnapshot
from shared.stix import ObservableType
from shared.stix.ids import observable_uuid

TYPES: Final = tuple(ObservableType)
_CODES: Final = {str(kind): code for code, kind in enumerate(TYPES)}
_HEAD_LINES: Final = 200
_encode: Final = msgspec.json.Encoder().encode
_NO_DIGESTS: Final[Digests] = np.empty(0, np.uint64)
_NO_POSITIONS: Final[Indices] = np.empty(0, np.int64)


class Rows(NamedTuple):
    """Rows that were just read.

    Attributes:
        positions: index of each row's line in the document; empty when it is not read by lines.
        lines: digest of each row's line; empty likewise.
    """

    positions: Indices
    lines: Digests
    ids: Digests
    said: Digests
    kinds: npt.NDArray[np.uint8]
    texts: Sequence[bytes]


class DocumentReader:
    """Reads one document of a feed.

    Args:
        format_: the document's format.
        options: the format's options.
        provenance_digest: goes into the snapshot, see there.
        previous: the version before it, if there is one.
        report: what is left out, and notes, go here.
    """

    def __init__(
        self,
        format_: Format,
        options: Mapping[str, Any],
        provenance_digest: str,
        previous: FeedSnapshot | None,
        report: RunReport,
    ) -> None:
        self._format = format_
        self._options = options
        self._provenance_digest = provenance_digest
        self._previous = previous
        self._report = report
        self._parser_digest = ""
        self._rows: list[Rows] = []
        self._known: KnownLines | None = None
        self._found: list[Places] = []
        self.touched: Digests | None = None
        """Observables of lines that came or went, where nothing else can have changed; once the version is made."""
        self.retracted: list[ParsedIndicator] = []
        """What the source takes back."""

    def read(self, document: Callable[[], AbstractContextManager[BinaryIO]]) -> Iterator[Rows]:
        """Read it to its end; what is new comes block by block.

        Args:
            document: opens it; asked a second time when its lines turn out not to stand for themselves.

        Raises:
            MalformedDocument, InvalidInput: see `Format.parse`.
        """
        if isinstance(self._format, LineFormat):
            try:
                with document() as stream:
                    yield from self._read_lines(self._format, stream)
            except LinesNotIndependent:
                self._rows, self._found, self.retracted, self._known = [], [], [], None
                self._report.forget_reading()
            else:
                return
        self._parser_digest = self._digest("")
        with document() as stream:
            for batch in self._format.parse(stream, self._options):
                self._report.drop(batch.dropped)
                self._report.notes += batch.notes
                if batch.indicators:
                    yield self._take(batch.indicators, _NO_POSITIONS, _NO_DIGESTS)

    def version(self) -> FeedSnapshot:
        """The version, when the document has been read; to be asked once."""
        fresh, positions = self._fresh(), self._joined("positions", np.int64)
        self._rows = []
        first = _first_places(fresh.lines, positions) if len(positions) else np.arange(len(fresh))
        if self._known is not None:
            return self._placed(self._known, fresh, positions, first)
        self._report.named = len(fresh)
        return fresh if len(first) == len(fresh) else fresh.merged(fresh.nothing(), first)

    def _placed(
        self, known: KnownLines, fresh: FeedSnapshot, positions: Indices, first: Indices
    ) -> FeedSnapshot:
        """Rows that were known before and rows that were read now, in the order of the document.

        Args:
            known: the lines of the version before.
            fresh: what was read.
            positions: the line of each of its rows.
            first: those of its rows whose line does not stand further up as well.
        """
        assert self._previous is not None  # noqa: S101  # there are no known lines without it
        before, self._known = self._previous, None
        place, self._report.named = self._places(known)
        self._report.named += len(fresh)
        if not len(fresh) and place[0] != UNKNOWN and np.all(place[1:] > place[:-1]):
            self.touched = _NO_DIGESTS
            return replace(before, provenance_digest=self._provenance_digest)
        place = place[known.of_row]
        del known
        stays = place != UNKNOWN
        kept = np.flatnonzero(stays)
        place = place[kept]
        if np.all(place[1:] >= place[:-1]):
            self.touched = np.unique(np.concatenate((before.ids[~stays], fresh.ids[first])))
        order = np.argsort(np.concatenate((place, positions[first])), kind="stable")
        rows = np.concatenate((kept, first + len(before)))[order]
        del place, stays, kept, order
        return replace(
            before.merged(fresh, rows), provenance_digest=self._provenance_digest, counts=None
        )

    def _places(self, known: KnownLines) -> tuple[Places, int]:
        """Where each known line stands now, `UNKNOWN` when it does not; and how many rows its places make."""
        found = np.concatenate(self._found)
        self._found = []
        places = np.flatnonzero(found != UNKNOWN).astype(np.int32)
        lines = found[places]
        place = np.full(len(known), UNKNOWN, np.int32)
        place[lines[::-1]] = places[
            ::-1
        ]  # of a line that stands there twice the first place counts
        rows = np.bincount(known.of_row, minlength=len(known))
        return place, int(rows[lines].sum())

    def _fresh(self) -> FeedSnapshot:
        """What was read, in the order of the document."""
        kinds = self._joined("kinds", np.uint8)
        texts = Texts(b"".join([text for rows in self._rows for text in rows.texts]))
        lines, ids, said = (self._joined(name, np.uint64) for name in ("lines", "ids", "said"))
        return FeedSnapshot(
            self._parser_digest, self._provenance_digest, lines, ids, said, kinds, texts, TYPES
        )

    def _joined(self, name: str, kind: type[np.generic]) -> Any:
        arrays = [getattr(rows, name) for rows in self._rows]
        return np.concatenate(arrays) if arrays else np.empty(0, kind)

    def _read_lines(self, format_: LineFormat, stream: BinaryIO) -> Iterator[Rows]:
        reader: LineReader | None = None
        number = 0
        for block in whole_lines(stream):
            lines = block.split(b"\n")
            if reader is None:
                reader = self._reader(
                    format_, [line.decode("utf-8", "replace") for line in lines[:_HEAD_LINES]]
                )
            digests = np.frombuffer(b"".join(map(xxh3_64_digest, lines)), np.uint64)
            unknown = None
            if self._known is not None:
                found = self._known.find(digests)
                self._found.append(found)
                unknown = np.flatnonzero(found == UNKNOWN)
            rows = self._read_block(reader, block, lines, digests, number, unknown)
            if rows is not None:
                yield rows
            number += len(lines)

    def _reader(self, format_: LineFormat, head: list[str]) -> LineReader:
        """The document's reader; and what is known of its lines, if they were read in the same way before."""
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
            self._known = KnownLines(before)
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
        """The rows of those lines of a block that were not known; None for `unknown` means all."""
        if unknown is None:
            unknown = np.arange(len(lines))
            texts: Sequence[str] = block.decode("utf-8", "replace").split("\n")
        else:
            texts = [lines[at].decode("utf-8", "replace") for at in unknown.tolist()]
        found = reader.read(texts, (unknown + number + 1).tolist())
        self._report.drop(found.dropped)
        if not found.indicators:
            return None
        places = unknown[found.lines]
        return self._take(found.indicators, places + number, digests[places])

    def _take(self, records: list[ParsedIndicator], positions: Indices, lines: Digests) -> Rows:
        taken_back = [record.retracted for record in records]
        if any(taken_back):
            self.retracted += [record for record in records if record.retracted]
            if len(positions):
                stays = ~np.array(taken_back)
                positions, lines = positions[stays], lines[stays]
            records = [record for record in records if not record.retracted]
        texts = list(map(_encode, records))
        packed = [pack(text, one.type) for text, one in zip(texts, records, strict=True)]
        rows = Rows(
            positions,
            lines,
            np.frombuffer(
                b"".join([observable_uuid(one.type, one.value)[:8] for one in records]), np.uint64
            ),
            np.frombuffer(b"".join(map(xxh3_64_digest, packed)), np.uint64),
            np.frombuffer(bytes([_CODES[one.type] for one in records]), np.uint8),
            texts,
        )
        # Kept in one piece: a million small texts would take twice the memory.
        self._rows.append(rows._replace(texts=(b"\n".join([*packed, b""]),)))
        return rows

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
    ordered = np.sort(
        lines[np.concatenate(([True], np.diff(positions) != 0))] if len(lines) else lines
    )
    if not np.any(ordered[1:] == ordered[:-1]):
        return np.arange(len(lines))
    distinct, first = np.unique(lines, return_index=True)
    return np.flatnonzero(positions[first[np.searchsorted(distinct, lines)]] == positions)
