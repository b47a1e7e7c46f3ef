"""A snapshot of a feed: its observables in the document's order, with digests to compare by.

A row is one observable on one line. Rows of other lines that name the same observable stay as well:
when a line goes, they show whether the observable is still listed. Of several rows about one
observable the first counts.
"""

import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from services.feeds.snapshots.indicator_texts import Indices, Texts, unpack
from shared.errors import SentinelIQError
from shared.stix.ids import SCHEME, observable_uuid

Digests = npt.NDArray[np.uint64]

_NO_ROWS: Final[Indices] = np.empty(0, np.int64)


class DamagedSnapshot(SentinelIQError):
    """The file of a snapshot cannot be read: read the feed as if for the first time."""

    code = "damaged-version"


class _Head(msgspec.Struct):
    # The names in the file are older than those in the code.
    rows: int
    parser_digest: str = msgspec.field(name="reading")
    provenance_digest: str = msgspec.field(name="saying")
    types: tuple[str, ...]
    has_lines: bool = msgspec.field(name="lines")
    counts: dict[str, int] | None = None
    scheme: int = 1


class _Identity(msgspec.Struct):
    type: str
    value: str


@dataclass(frozen=True)
class FeedSnapshot:
    """All rows of a document.

    Attributes:
        parser_digest: of what decides how a document is parsed: format, options, layout of a line
            format. Rows of two snapshots with the same parser digest have comparable lines.
        provenance_digest: of what decides how indicators are asserted: confidence, reliability,
            tags. Snapshots that differ in it differ in every row.
        lines: digest of the line of each row; empty when the document was not read line by line.
        ids: digest of each row's observable.
        text_digests: digest of each row's text.
        kinds: index into `types` for each row.
        texts: the packed text of each row.
        types: names of observable types.
        counts: distinct observables by type, once they are counted.
    """

    parser_digest: str
    provenance_digest: str
    lines: Digests
    ids: Digests
    text_digests: Digests
    kinds: npt.NDArray[np.uint8]
    texts: Texts
    types: tuple[str, ...]
    counts: Mapping[str, int] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def indicators(self, rows: Indices) -> Iterator[bytes]:
        """The encoded `ParsedIndicator` of some rows, in the order of `rows`."""
        types = self.types
        for kind, text in zip(self.kinds[rows].tolist(), self.texts.at(rows), strict=True):
            yield unpack(text, types[kind])

    def first_rows(self, among: Digests | None = None) -> tuple[Digests, Indices]:
        """The digests of the distinct observables, sorted, and the row that counts for each.

        Args:
            among: only these digests; sorted and distinct.
        """
        if among is None:
            ids, rows = np.unique(self.ids, return_index=True)
            return ids, rows
        if not len(among):
            return among, _NO_ROWS
        at = np.minimum(np.searchsorted(among, self.ids), len(among) - 1)
        chosen = np.flatnonzero(among[at] == self.ids)
        ids, first = np.unique(self.ids[chosen], return_index=True)
        return ids, chosen[first]

    def count_types(self, rows: Indices) -> dict[str, int]:
        """Number of rows of each type, among some rows."""
        counts = np.bincount(self.kinds[rows], minlength=len(self.types)).tolist()
        return {name: count for name, count in zip(self.types, counts, strict=True) if count}

    def save(self, path: Path) -> None:
        """Write the snapshot to a file, and the file to the disk."""
        head = _Head(
            rows=len(self),
            parser_digest=self.parser_digest,
            provenance_digest=self.provenance_digest,
            types=self.types,
            has_lines=len(self.lines) > 0,
            counts=dict(self.counts or {}),
            scheme=SCHEME,
        )
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        with path.open("wb") as file:
            with compressor.stream_writer(file, closefd=False) as out:
                out.write(msgspec.json.encode(head) + b"\n")
                for digests in (self.lines, self.ids, self.text_digests):
                    out.write(digests.tobytes())
                out.write(self.kinds.tobytes())
                out.write(self.texts.blob)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> "FeedSnapshot":
        """Read a snapshot.

        Raises:
            DamagedSnapshot: the file is gone, cut off or changed.
        """
        try:
            with path.open("rb") as file:
                return cls.read(file)
        except OSError as error:
            raise DamagedSnapshot(f"A version of the feed cannot be read: {error}") from error

    @classmethod
    def read(cls, file: BinaryIO) -> "FeedSnapshot":
        """Read a snapshot from its file, from the file's beginning.

        Raises:
            DamagedSnapshot: the file is cut off or changed.
        """
        try:
            with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as stream:
                return cls._read(io.BufferedReader(stream, 1 << 20))
        except (OSError, zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
            raise DamagedSnapshot(f"A version of the feed cannot be read: {error}") from error

    @classmethod
    def _read(cls, stream: BinaryIO) -> "FeedSnapshot":
        head = msgspec.json.decode(stream.readline(), type=_Head)
        rows = head.rows
        lines = np.frombuffer(stream.read(8 * rows if head.has_lines else 0), np.uint64)
        ids = np.frombuffer(stream.read(8 * rows), np.uint64)
        text_digests = np.frombuffer(stream.read(8 * rows), np.uint64)
        kinds = np.frombuffer(stream.read(rows), np.uint8)
        texts = Texts(stream.read())
        if not len(ids) == len(text_digests) == len(kinds) == len(texts) == rows:
            raise ValueError(f"{len(texts)} texts for {rows} rows")
        snapshot = cls(
            parser_digest=head.parser_digest,
            provenance_digest=head.provenance_digest,
            lines=lines,
            ids=ids,
            text_digests=text_digests,
            kinds=kinds,
            texts=texts,
            types=head.types,
            counts=head.counts,
        )
        return snapshot if head.scheme == SCHEME else snapshot._with_present_ids()

    def _with_present_ids(self) -> "FeedSnapshot":
        """The same rows with ids of the present scheme: a new id alone is no change."""
        decode = msgspec.json.Decoder(_Identity).decode
        identities = map(decode, self.indicators(np.arange(len(self))))
        ids = b"".join([observable_uuid(item.type, item.value)[:8] for item in identities])
        return replace(self, ids=np.frombuffer(ids, np.uint64), counts=None)

    def without_rows(self) -> "FeedSnapshot":
        """A snapshot with the same digests and types, without rows."""
        empty = self.ids[:0]
        return replace(
            self,
            lines=empty,
            ids=empty,
            text_digests=empty,
            kinds=self.kinds[:0],
            texts=Texts(b""),
        )

    def merged(self, other: "FeedSnapshot", rows: Indices) -> "FeedSnapshot":
        """Rows of both, in the order of `rows`, with this snapshot's digests.

        Args:
            other: its rows are numbered after this one's.
            rows: which.
        """
        return replace(
            self,
            lines=np.concatenate((self.lines, other.lines))[rows],
            ids=np.concatenate((self.ids, other.ids))[rows],
            text_digests=np.concatenate((self.text_digests, other.text_digests))[rows],
            kinds=np.concatenate((self.kinds, other.kinds))[rows],
            texts=self.texts.merged(other.texts, rows),
        )


@dataclass(frozen=True)
class SnapshotDifference:
    """The changes from one snapshot to the next.

    Attributes:
        seen: rows of the new snapshot that are new or have another text; in its order.
        gone: rows of the old snapshot whose observables are no longer listed.
        types: distinct observables that the new snapshot lists, by type.
        before: how many distinct ones the old one listed.
    """

    seen: Indices
    gone: Indices
    types: dict[str, int]
    before: int

    @property
    def listed(self) -> int:
        """Number of distinct observables in the new snapshot."""
        return sum(self.types.values())


def compare(
    before: FeedSnapshot | None, after: FeedSnapshot, touched: Digests | None = None
) -> SnapshotDifference:
    """Compare two snapshots of a feed.

    Args:
        before: None for a feed's first snapshot.
        after: the snapshot that follows.
        touched: digests of the observables that can differ, where these are known: those of lines
            that came or went.
    """
    if before is None:
        _, rows = after.first_rows()
        return SnapshotDifference(np.sort(rows), _NO_ROWS, after.count_types(rows), 0)
    if before.provenance_digest != after.provenance_digest:
        touched = None
    counts = Counter(before.counts or before.count_types(before.first_rows()[1]))
    listed_before = counts.total()
    if touched is not None and not len(touched):
        return SnapshotDifference(_NO_ROWS, _NO_ROWS, dict(counts), listed_before)
    # Of the touched observables alone where they are known, and of all otherwise.
    old = before.first_rows(touched)
    new = after.first_rows(touched)
    if touched is None:
        counts = Counter(after.count_types(new[1]))
    else:
        counts = counts + Counter(after.count_types(new[1]))
        counts.subtract(before.count_types(old[1]))
    seen, gone = _changed_rows(before, old, after, new)
    return SnapshotDifference(seen, gone, dict(+counts), listed_before)


def _changed_rows(
    before: FeedSnapshot,
    old: tuple[Digests, Indices],
    after: FeedSnapshot,
    new: tuple[Digests, Indices],
) -> tuple[Indices, Indices]:
    """Rows of `after` that are new or changed, and rows of `before` that are gone."""
    old_ids, old_rows = old
    new_ids, new_rows = new
    if not len(old_ids):
        return np.sort(new_rows), _NO_ROWS
    at = np.minimum(np.searchsorted(old_ids, new_ids), len(old_ids) - 1)
    was_listed = old_ids[at] == new_ids
    is_same = was_listed.copy()
    if before.provenance_digest == after.provenance_digest:
        old_texts = before.text_digests[old_rows[at[was_listed]]]
        is_same[was_listed] = old_texts == after.text_digests[new_rows[was_listed]]
    else:
        is_same[:] = False
    is_listed_still = np.zeros(len(old_ids), bool)
    is_listed_still[at[was_listed]] = True
    return np.sort(new_rows[~is_same]), np.sort(old_rows[~is_listed_still])
