"""Which of many substrings occur in texts.

Each substring ("needle") is known by one piece of it, of up to six bytes, that the fewest other
needles have. A scan hashes every window of the joined texts at once and compares a needle only
where its piece may stand; rare pieces keep the false candidates few.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from services.observables.reference.packed_arrays import Array

_PIECE: Final = 6
"""Bytes of a piece; a shorter needle is its own piece."""

_TABLE_BITS: Final = 18
_SHORT: Final = 120
"""Bytes of text up to which every window is looked up without the table."""

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: Fibonacci hashing, which spreads similar pieces."""


class SubstringIndex:
    """Needles by their rarest piece.

    Args:
        needles: the number of a list, and a substring of that list.
    """

    def __init__(self, needles: Sequence[tuple[int, bytes]]) -> None:
        # By the width of a piece and the piece: the piece's place in the needle, needle, list.
        self._pieces: dict[int, dict[bytes, list[tuple[int, bytes, int]]]] = {}
        frequency: Counter[bytes] = Counter()
        for _, needle in needles:
            frequency.update(piece for _, piece in _cut(needle))
        for number, needle in needles:
            offset, piece = min(_cut(needle), key=lambda place: frequency[place[1]])
            by_piece = self._pieces.setdefault(len(piece), {})
            by_piece.setdefault(piece, []).append((offset, needle, number))
        self._tables = {width: _table(width, pieces) for width, pieces in self._pieces.items()}

    def find(self, texts: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """The place of a text, a list, and the substring of that list in the text."""
        values = [text.encode() for text in texts]
        joined = b"\n".join(values)
        ends = list(accumulate(len(value) + 1 for value in values))
        matches: set[tuple[int, int, bytes]] = set()
        for width, pieces in self._pieces.items():
            for place in self._candidates(joined, width):
                for offset, needle, number in pieces.get(joined[place : place + width], ()):
                    start = place - offset
                    # No needle has a line feed, so a match never reaches into the next text.
                    if start >= 0 and joined.startswith(needle, start):
                        matches.add((bisect_right(ends, start), number, needle))
        for place, number, needle in sorted(matches):
            yield place, number, needle.decode()

    def _candidates(self, joined: bytes, width: int) -> Iterable[int]:
        """Places at which a piece of this width may stand."""
        if len(joined) < _SHORT:
            return range(len(joined) - width + 1)
        slots = _slots(np.frombuffer(joined, np.uint8), width)
        return np.flatnonzero(self._tables[width][slots]).tolist()


def _cut(needle: bytes) -> list[tuple[int, bytes]]:
    """All pieces of a needle with their places."""
    width = min(len(needle), _PIECE)
    return [(at, needle[at : at + width]) for at in range(len(needle) - width + 1)]


def _table(width: int, pieces: Iterable[bytes]) -> Array:
    """The slots that pieces have; of their joined windows, every `width`-th is a piece."""
    table = np.zeros(1 << _TABLE_BITS, bool)
    table[_slots(np.frombuffer(b"".join(pieces), np.uint8), width)[::width]] = True
    return table


def _slots(data: Array, width: int) -> Array:
    """The slot in the table of each window of this width, computed for all windows at once."""
    count = data.size - width + 1
    windows = data[:count].astype(np.uint64)
    for at in range(1, width):
        windows <<= np.uint64(8)
        windows |= data[at : at + count]
    windows *= _MULTIPLIER
    windows >>= np.uint64(64 - _TABLE_BITS)
    return windows
