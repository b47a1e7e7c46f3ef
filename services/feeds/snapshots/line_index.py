"""Finds which lines of a document were in the previous snapshot, mostly without a search.

A list that is fetched again has nearly the same lines in nearly the same order: each line is first
compared with the line that stood there before, and only where that fails it is searched for.
"""

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from services.feeds.snapshots.snapshot import Digests

UNKNOWN_LINE: Final = -1
LineNumbers = npt.NDArray[np.int32]


class LineIndex:
    """The distinct lines of a snapshot, in its order.

    Args:
        lines: digest of the line of each row of the snapshot.

    Attributes:
        line_of_row: for each row of the snapshot, the number of its line.
    """

    def __init__(self, lines: Digests) -> None:
        begins = np.full(len(lines), True)
        np.not_equal(lines[1:], lines[:-1], out=begins[1:])
        self.line_of_row: LineNumbers = np.cumsum(begins, dtype=np.int32) - 1
        self._lines = lines[begins]
        self._next = 0

    @cached_property
    def _order(self) -> LineNumbers:
        return np.argsort(self._lines).astype(np.int32)

    @cached_property
    def _sorted(self) -> Digests:
        lines: Digests = self._lines[self._order]
        return lines

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, digests: Digests) -> LineNumbers:
        """The number of each of the document's next lines; `UNKNOWN_LINE` where it is new."""
        numbers = np.full(len(digests), UNKNOWN_LINE, np.int32)
        expected = self._lines[self._next : self._next + len(digests)]
        in_place = np.flatnonzero(digests[: len(expected)] == expected)
        numbers[in_place] = in_place + self._next
        elsewhere = np.flatnonzero(numbers == UNKNOWN_LINE)
        if len(elsewhere):
            searched = digests[elsewhere]
            at = np.minimum(np.searchsorted(self._sorted, searched), len(self._sorted) - 1)
            hit = self._sorted[at] == searched
            numbers[elsewhere[hit]] = self._order[at[hit]]
        known_numbers = numbers[numbers != UNKNOWN_LINE]
        if len(known_numbers):
            self._next = int(known_numbers[-1]) + 1
        return numbers
