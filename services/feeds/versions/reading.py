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

from services.feeds.formats.base import Format, LineFormat, LineReader, NotLineByLine, Record
from services.feeds.formats.reading import _whole_lines
from services.feeds.report import Report
from services.feeds.versions.version import Digests, Indices, Texts, Version
from shared.stix import ObservableType
from shared.stix.ids import observable_uuid

TYPES: Final = tuple(ObservableType)
_CODES: Final = {str(kind): code for code, kind in enumerate(TYPES)}
_HEAD_LINES: Final = 200
_encode: Final = msgspec.json.Encoder().encode
_NO_DIGESTS: Final[Digests] = np.empty(0, np.uint64)


class Rows(NamedTuple):
    """Rows that were just read.

    Attributes:
        positions: index of each row's line in the document; empty when it is not read by lines.
    """

    positions: Indices
    ids: Digests
    said: Digests
    kinds: npt.NDArray[np.uint8]
    texts: Sequence[bytes]


class DocumentReader:
    """Reads one document of a feed.

    Args:
        format_: the document's format.
        options: the format's options.
        saying: goes into the version, see there.
        previous: the version before it, if there is one.
        report: what is left out, and notes, go here.
    """

    def __init__(
        self, format_: Format, options: Mapping[str, Any], saying: str, previous: Version | None, report: Report
    ) -> None:
        self._format = format_
        self._options = options
        self._saying = saying
        self._previous = previous
        self._report = report
        self._reading = ""
        self._rows: list[Rows] = []
        self._lines: list[Digests] = []
        self.retracted: list[Record] = []
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
            except NotLineByLine:
                self._rows, self._lines, self.retracted = [], [], []
                self._report.forget_reading()
            else:
                return
        self._reading = self._digest("")
        with document() as stream:
            for batch in self._format.parse(stream, self._options):
                self._report.drop(batch.dropped)
                self._report.notes += batch.notes
                if batch.records:
                    yield self._take(batch.records, None)

    def version(self) -> Version:
        """The version, when the document has been read."""
        read = self._joined()
        if not self._lines:
            self._report.named = len(read)
            return read
        lines = np.concatenate(self._lines)
        distinct, first, times = np.unique(lines, return_index=True, return_counts=True)
        positions = np.concatenate([rows.positions for rows in self._rows]) if self._rows else np.empty(0, np.int64)
        # A line that stands there twice says the same twice: its first place counts.
        fresh = np.flatnonzero(first[np.searchsorted(distinct, lines[positions])] == positions)
        fresh_rows = replace(read.taken(fresh), lines=lines[positions[fresh]])
        version = self._placed(fresh_rows, positions[fresh], distinct, first)
        self._report.named = int(times[np.searchsorted(distinct, version.lines)].sum())
        return version

    def _placed(self, fresh: Version, positions: Indices, distinct: Digests, first: Indices) -> Version:
        """Rows that were read now and rows known from before, in the order of the document."""
        before = self._known()
        if before is None:
            return fresh
        at = np.minimum(np.searchsorted(distinct, before.lines), len(distinct) - 1)
        kept = np.flatnonzero(distinct[at] == before.lines)
        order = np.argsort(np.concatenate((first[at[kept]], positions)), kind="stable")
        if len(fresh) or len(kept) < len(before):
            before = before.taken(kept).followed_by(fresh)
        unmoved = np.array_equal(order, np.arange(len(order)))
        return replace(before if unmoved else before.taken(order), saying=self._saying)

    def _read_lines(self, format_: LineFormat, stream: BinaryIO) -> Iterator[Rows]:
        reader: LineReader | None = None
        known: Digests = _NO_DIGESTS
        number = 0
        for block in _whole_lines(stream):
            lines = block.split(b"\n")
            if reader is None:
                head = [line.decode("utf-8", "replace") for line in lines[:_HEAD_LINES]]
                reader = format_.reader(head, self._options)
                if reader is None:
                    raise NotLineByLine
                self._report.notes += reader.notes
                self._reading = self._digest(reader.layout)
                before = self._known()
                known = _NO_DIGESTS if before is None else np.unique(before.lines)
            digests = np.frombuffer(b"".join(map(xxh3_64_digest, lines)), np.uint64)
            self._lines.append(digests)
            rows = self._read_block(reader, block, lines, number, _unknown(digests, known))
            if rows is not None:
                yield rows
            number += len(lines)

    def _read_block(
        self, reader: LineReader, block: bytes, lines: list[bytes], number: int, unknown: Indices | None
    ) -> Rows | None:
        """The rows of those lines of a block that were not known; None for `unknown` means all."""
        if unknown is None:
            places = np.arange(number, number + len(lines))
            texts: Sequence[str] = block.decode("utf-8", "replace").split("\n")
        else:
            places = unknown + number
            texts = [lines[at].decode("utf-8", "replace") for at in unknown.tolist()]
        found = reader.read(texts, (places + 1).tolist())
        self._report.drop(found.dropped)
        return self._take(found.records, places[found.lines]) if found.records else None

    def _known(self) -> Version | None:
        """The previous version, if its lines were read in the same way."""
        before = self._previous
        if before is None or before.reading != self._reading or before.types != TYPES or not len(before.lines):
            return None
        return before

    def _take(self, records: list[Record], positions: Indices | None) -> Rows:
        taken_back = [record.retracted for record in records]
        if any(taken_back):
            self.retracted += [record for record in records if record.retracted]
            if positions is not None:
                positions = positions[~np.array(taken_back)]
            records = [record for record in records if not record.retracted]
        texts = list(map(_encode, records))
        rows = Rows(
            np.empty(0, np.int64) if positions is None else positions,
            np.frombuffer(b"".join([observable_uuid(one.type, one.value)[:8] for one in records]), np.uint64),
            np.frombuffer(b"".join(map(xxh3_64_digest, texts)), np.uint64),
            np.frombuffer(bytes([_CODES[one.type] for one in records]), np.uint8),
            texts,
        )
        # Kept in one piece: a million small texts would take twice the memory.
        self._rows.append(rows._replace(texts=(b"\n".join([*texts, b""]),)))
        return rows

    def _joined(self) -> Version:
        rows = self._rows
        return Version(
            self._reading,
            self._saying,
            _NO_DIGESTS,
            np.concatenate([one.ids for one in rows]) if rows else _NO_DIGESTS,
            np.concatenate([one.said for one in rows]) if rows else _NO_DIGESTS,
            np.concatenate([one.kinds for one in rows]) if rows else np.empty(0, np.uint8),
            Texts(b"".join([text for one in rows for text in one.texts])),
            TYPES,
        )

    def _digest(self, layout: str) -> str:
        # Another release may read the same line differently.
        deciding = [version("sentineliq"), self._format.name, dict(self._options), layout]
        return hashlib.sha256(msgspec.json.encode(deciding, order="deterministic")).hexdigest()


def _unknown(digests: Digests, known: Digests) -> Indices | None:
    """Which lines were not there before; None for all of them."""
    if not len(known):
        return None
    at = np.minimum(np.searchsorted(known, digests), len(known) - 1)
    return np.flatnonzero(known[at] != digests)
