"""A version of a feed: every observable it names, in the document's order, with compact digests to compare by.

A row is one observable on one line. Rows of other lines that name the same observable are kept too: when a line goes,
they tell whether the observable is still listed. Of several rows about one observable the first counts.
"""

import io
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping
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

_NONE: Final[Indices] = np.empty(0, np.int64)
_GRACE: Final = 24 * 3600.0
"""Seconds that a file may be in use by a run that has not ended yet."""


class DamagedSnapshot(SentinelIQError):
    """The file of a version cannot be read; the feed has to be read as if for the first time."""

    code = "damaged-version"


class _Head(msgspec.Struct):
    # The names in the file are older than those in the code.
    rows: int
    parser_digest: str = msgspec.field(name="reading")
    provenance_digest: str = msgspec.field(name="saying")
    types: tuple[str, ...]
    lines: bool
    counts: dict[str, int] | None = None
    scheme: int = 1


class _Named(msgspec.Struct):
    type: str
    value: str


@dataclass(frozen=True)
class FeedSnapshot:
    """All rows of a document.

    Attributes:
        parser_digest: of what decides what is read from a document: format, options, layout of a
            line format. Rows of two snapshots with the same parser digest have comparable lines.
        provenance_digest: of what decides how indicators are asserted: confidence, reliability,
            tags. Snapshots that differ in it differ in every row.
        lines: digest of the line each row was read from; empty when the document was not read line by line.
        ids: digest of each row's observable.
        said: digest of each row's text.
        kinds: index into `types` for each row.
        texts: the packed text of each row.
        types: names of observable types.
        counts: distinct observables by type, once they are counted.
    """

    parser_digest: str
    provenance_digest: str
    lines: Digests
    ids: Digests
    said: Digests
    kinds: npt.NDArray[np.uint8]
    texts: Texts
    types: tuple[str, ...]
    counts: Mapping[str, int] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def indicators(self, rows: Indices) -> Iterator[bytes]:
        """The encoded `Indicator` of some rows, in the order asked for."""
        types = self.types
        for kind, text in zip(self.kinds[rows].tolist(), self.texts.at(rows), strict=True):
            yield unpack(text, types[kind])

    def firsts(self, among: Digests | None = None) -> tuple[Digests, Indices]:
        """The distinct observables' digests, sorted, and the row that counts for each.

        Args:
            among: only these; sorted and distinct.
        """
        if among is None:
            ids, rows = np.unique(self.ids, return_index=True)
            return ids, rows
        if not len(among):
            return among, _NONE
        at = np.minimum(np.searchsorted(among, self.ids), len(among) - 1)
        chosen = np.flatnonzero(among[at] == self.ids)
        ids, first = np.unique(self.ids[chosen], return_index=True)
        return ids, chosen[first]

    def count_types(self, rows: Indices) -> dict[str, int]:
        """How many of some rows are of each type."""
        counts = np.bincount(self.kinds[rows], minlength=len(self.types)).tolist()
        return {name: count for name, count in zip(self.types, counts, strict=True) if count}

    def save(self, path: Path) -> None:
        """Write the version to a file that appears only when it is complete."""
        counts = dict(self.counts or {})
        head = _Head(
            len(self),
            self.parser_digest,
            self.provenance_digest,
            self.types,
            len(self.lines) > 0,
            counts,
            SCHEME,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        with partial.open("wb") as file, compressor.stream_writer(file, closefd=False) as out:
            out.write(msgspec.json.encode(head) + b"\n")
            for digests in (self.lines, self.ids, self.said):
                out.write(digests.tobytes())
            out.write(self.kinds.tobytes())
            out.write(self.texts.blob)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "FeedSnapshot":
        """Read a version.

        Raises:
            DamagedSnapshot: the file is gone, cut off or changed.
        """
        try:
            with (
                path.open("rb") as file,
                zstandard.ZstdDecompressor().stream_reader(file) as stream,
            ):
                return cls._read(io.BufferedReader(stream, 1 << 20))
        except (OSError, zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
            raise DamagedSnapshot(f"A version of the feed cannot be read: {error}") from error

    @classmethod
    def _read(cls, stream: BinaryIO) -> "FeedSnapshot":
        head = msgspec.json.decode(stream.readline(), type=_Head)
        rows = head.rows
        lines, ids, said = (
            np.frombuffer(stream.read(8 * count), np.uint64)
            for count in (rows if head.lines else 0, rows, rows)
        )
        kinds = np.frombuffer(stream.read(rows), np.uint8)
        texts = Texts(stream.read())
        if not len(ids) == len(said) == len(kinds) == len(texts) == rows:
            raise ValueError(f"{len(texts)} texts for {rows} rows")
        found = cls(
            head.parser_digest,
            head.provenance_digest,
            lines,
            ids,
            said,
            kinds,
            texts,
            head.types,
            head.counts,
        )
        return found if head.scheme == SCHEME else found._identified()

    def _identified(self) -> "FeedSnapshot":
        """The same with ids as they are made now: what changed its id is neither gone nor new."""
        decode = msgspec.json.Decoder(_Named).decode
        named = map(decode, self.indicators(np.arange(len(self))))
        ids = b"".join([observable_uuid(one.type, one.value)[:8] for one in named])
        return replace(self, ids=np.frombuffer(ids, np.uint64), counts=None)

    def nothing(self) -> "FeedSnapshot":
        """A version of the same kind without rows."""
        none = self.ids[:0]
        return replace(
            self, lines=none, ids=none, said=none, kinds=self.kinds[:0], texts=Texts(b"")
        )

    def merged(self, other: "FeedSnapshot", rows: Indices) -> "FeedSnapshot":
        """Rows of both, in the order asked for, with this snapshot's digests.

        Args:
            other: its rows are numbered after this one's.
            rows: which.
        """
        return replace(
            self,
            lines=np.concatenate((self.lines, other.lines))[rows],
            ids=np.concatenate((self.ids, other.ids))[rows],
            said=np.concatenate((self.said, other.said))[rows],
            kinds=np.concatenate((self.kinds, other.kinds))[rows],
            texts=self.texts.merged(other.texts, rows),
        )


@dataclass(frozen=True)
class Difference:
    """What has to be said when one version follows another.

    Attributes:
        seen: rows of the new version that are new, or say something else than before; in its order.
        gone: rows of the old version whose observables are no longer listed.
        types: distinct observables that the new version lists, by type.
        before: how many distinct ones the old one listed.
    """

    seen: Indices
    gone: Indices
    types: dict[str, int]
    before: int

    @property
    def listed(self) -> int:
        """How many distinct observables the new version lists."""
        return sum(self.types.values())


def compare(
    before: FeedSnapshot | None, after: FeedSnapshot, touched: Digests | None = None
) -> Difference:
    """What changed between two versions of a feed.

    Args:
        before: None for a feed's first version.
        after: the version that follows.
        touched: digests of the observables that can differ, where that is known: those of lines that came or went.
    """
    if before is None:
        _, rows = after.firsts()
        return Difference(np.sort(rows), _NONE, after.count_types(rows), 0)
    known = Counter(before.counts or before.count_types(before.firsts()[1]))
    if (
        touched is not None
        and not len(touched)
        and before.provenance_digest == after.provenance_digest
    ):
        return Difference(_NONE, _NONE, dict(known), known.total())
    if touched is None or before.provenance_digest != after.provenance_digest:
        old, new = before.firsts(), after.firsts()
        counts = Counter(after.count_types(new[1]))
    else:
        old, new = before.firsts(touched), after.firsts(touched)
        counts = known + Counter(after.count_types(new[1]))
        counts.subtract(before.count_types(old[1]))
    seen, gone = _differing(before, old, after, new)
    return Difference(seen, gone, dict(+counts), known.total())


def _differing(
    before: FeedSnapshot,
    old: tuple[Digests, Indices],
    after: FeedSnapshot,
    new: tuple[Digests, Indices],
) -> tuple[Indices, Indices]:
    (known, known_rows), (ids, rows) = old, new
    if not len(known):
        return np.sort(rows), _NONE
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    there = known[at] == ids
    same = there.copy()
    if before.provenance_digest == after.provenance_digest:
        same[there] = before.said[known_rows[at[there]]] == after.said[rows[there]]
    else:
        same[:] = False
    stays = np.zeros(len(known), bool)
    stays[at[there]] = True
    return np.sort(rows[~same]), np.sort(known_rows[~stays])


def prune_snapshots(folder: Path, wanted: Container[str]) -> int:
    """Remove versions that no feed is at any more; how many.

    Args:
        folder: with a folder for each feed.
        wanted: `<feed id>/<file name>` of those that stay.
    """
    old = time.time() - _GRACE
    unwanted = [
        path
        for path in folder.glob("*/*")
        if f"{path.parent.name}/{path.name}" not in wanted and path.stat().st_mtime < old
    ]
    for path in unwanted:
        path.unlink(missing_ok=True)
    return len(unwanted)
