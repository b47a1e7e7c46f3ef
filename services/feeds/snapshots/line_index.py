"""Which lines of a document were in the version before it, found without looking most of them up.

A list that is fetched again has nearly the same lines in nearly the same order: each line is first compared with the
one that stood there before, and only where that fails it is searched for.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from services.feeds.snapshots.snapshot import Digests, FeedSnapshot

UNKNOWN: Final = -1
Places = npt.NDArray[np.int32]


class KnownLines:
    """The distinct lines of a version, in its order.

    Attributes:
        of_row: for each row of the version, the index of its line.
    """

    def __init__(self, version: FeedSnapshot) -> None:
        lines = version.lines
        begins = np.ones(len(lines), bool)
        np.not_equal(lines[1:], lines[:-1], out=begins[1:])
        self.of_row: Places = np.cumsum(begins, dtype=np.int32) - 1
        self._lines = lines[begins]
        self._order = np.argsort(self._lines).astype(np.int32)
        self._sorted = self._lines[self._order]
        self._next = 0

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, digests: Digests) -> Places:
        """The index of each of the document's next lines; `UNKNOWN` where it was not there before."""
        found = np.full(len(digests), UNKNOWN, np.int32)
        expected = self._lines[self._next : self._next + len(digests)]
        here = np.flatnonzero(digests[: len(expected)] == expected)
        found[here] = here + self._next
        missing = np.flatnonzero(found == UNKNOWN)
        if len(missing):
            wanted = digests[missing]
            at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
            hit = self._sorted[at] == wanted
            found[missing[hit]] = self._order[at[hit]]
        known = found[found != UNKNOWN]
        if len(known):
            self._next = int(known[-1]) + 1
        return found
