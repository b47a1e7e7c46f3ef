"""The encoded indicators of a snapshot: one piece of memory, without what their type implies."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

_NEWLINE: Final = 10
_PIECE: Final = 1 << 16
_OBJECT: Final = ord("{")


@cache
def _prefix(kind: str) -> bytes:
    return b'{"type":"%s","value":' % kind.encode()


def pack(text: bytes, kind: str) -> bytes:
    """An encoded indicator of a type; one that only names its value becomes the value."""
    # A quote within the value is escaped, which adds to the count: such a text stays as it is.
    return text[len(_prefix(kind)) : -1] if text.count(b'":') == 2 else text


def unpack(packed: bytes, kind: str) -> bytes:
    """The inverse of `pack`."""
    return packed if packed[0] == _OBJECT else _prefix(kind) + packed + b"}"


class Texts:
    """Many texts in one piece of memory; a list of them would take twice as much."""

    __slots__ = ("_blob", "_ends")

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        ends = np.flatnonzero(np.frombuffer(blob, np.uint8) == _NEWLINE)
        self._ends: npt.NDArray[np.integer[Any]] = (
            ends.astype(np.int32) if len(blob) < 1 << 31 else ends
        )

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def blob(self) -> bytes:
        """All of them, each with a line end."""
        return self._blob

    def at(self, indices: Indices) -> Iterator[bytes]:
        """The texts of some rows, in the order of `indices`."""
        blob = self._blob
        for begin in range(0, len(indices), _PIECE):
            piece = indices[begin : begin + _PIECE]
            ends = self._ends[piece]
            starts = np.where(piece == 0, 0, self._ends[piece - 1] + 1)
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                yield blob[start:end]

    def merged(self, other: "Texts", indices: Indices) -> "Texts":
        """Texts of both as texts of their own; runs of neighbours are copied in one go.

        Args:
            other: its texts are numbered after this one's.
            indices: which, in the order of the result.
        """
        if not len(indices):
            return Texts(b"")
        begins = np.concatenate(([True], np.diff(indices) != 1)) | (indices == len(self))
        lasts = np.concatenate((begins[1:], [True]))
        size = len(self._blob)
        both = np.int32 if size + len(other.blob) < 1 << 31 else np.int64
        # Both are of this class.
        ends = np.concatenate((self._ends.astype(both), other._ends.astype(both)))  # noqa: SLF001
        ends[len(self) :] += size
        ends += 1
        first = indices[begins]
        starts = np.where(first == 0, 0, ends[first - 1]).tolist()
        left = memoryview(self._blob)
        right = memoryview(other.blob)
        pieces = [
            left[start:end] if end <= size else right[start - size : end - size]
            for start, end in zip(starts, ends[indices[lasts]].tolist(), strict=True)
        ]
        return Texts(b"".join(pieces))
