"""The figures of a report, from what each source lists and since when. No I/O.

Sources are told apart by their places in a sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

COVERED_SHARE: Final = 0.95
"""The share of all observables that the smallest set of sources has to list."""
_MOST_TRIALS: Final = 20_000
"""Sets of sources that are tried for a smaller one than the greedy choice."""

_TIME_BITS: Final = 32

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source lists.

    Attributes:
        members: the numbers of its observables.
        numbers: the same as an array, in any order.
        times: since when, in seconds since 1970, in the order of `numbers`.
        harmless: the numbers of those that an allow-list names as harmless.
    """

    members: BitMap
    numbers: Numbers
    times: Numbers
    harmless: BitMap


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """What the listings tell of a source.

    Attributes:
        observables: how many it lists.
        unique: how many of them no other source lists.
        shared: how many of them others list as well.
        first: how many of the shared ones it listed before all others.
        lead_seconds: the median of how long before; None if it was never first.
        lag_seconds: the median of how long after the first one it listed the others; None if it
            was never later.
        harmless: how many of them an allow-list names as harmless.
        fresh: how many it lists for no longer than a number of seconds, by these.
    """

    observables: int
    unique: int
    shared: int
    first: int
    lead_seconds: float | None
    lag_seconds: float | None
    harmless: int
    fresh: dict[int, int]


@dataclass(frozen=True, slots=True)
class Cover:
    """Sources that list most of what all list.

    Attributes:
        places: of the sources, the one that adds the most first.
        reached: how many observables the sources up to each list together.
        is_smallest: whether all smaller sets were tried, or counted out.
    """

    places: list[int]
    reached: list[int]
    is_smallest: bool


def overlaps(listings: Sequence[Listing]) -> list[list[int]]:
    """How many observables each two sources share; in the diagonal, how many each lists."""
    size = len(listings)
    matrix: list[list[int]] = np.zeros((size, size), np.int64).tolist()
    for row, first in enumerate(listings):
        matrix[row][row] = len(first.members)
        for column in range(row + 1, size):
            shared = first.members.intersection_cardinality(listings[column].members)
            matrix[row][column] = shared
            matrix[column][row] = shared
    return matrix


def union_of(listings: Sequence[Listing]) -> BitMap:
    """What all sources list together."""
    return BitMap.union(*(listing.members for listing in listings)) if listings else BitMap()


def figures_of(listings: Sequence[Listing], now: int, ages: Sequence[int]) -> list[SourceFigures]:
    """What the listings tell of each source.

    Args:
        listings: of all sources.
        now: in seconds since 1970.
        ages: of what counts as fresh, in seconds.
    """
    order = _Order(listings)
    return [_figures(order, place, listing, now, ages) for place, listing in enumerate(listings)]


def _figures(
    order: "_Order", place: int, listing: Listing, now: int, ages: Sequence[int]
) -> SourceFigures:
    unique = order.count_unique(place)
    return SourceFigures(
        observables=len(listing.members),
        unique=unique,
        shared=len(listing.members) - unique,
        first=order.leads[place].size,
        lead_seconds=_median(order.leads[place]),
        lag_seconds=_median(order.lags[place]),
        harmless=len(listing.harmless),
        fresh={age: int((listing.times >= now - age).sum()) for age in ages},
    )


class _Order:
    """Who listed what first.

    Attributes:
        leads: by source, how long before the next one it listed what it listed first.
        lags: by source, how long after the first one it listed what others listed first.
    """

    def __init__(self, listings: Sequence[Listing]) -> None:
        size = len(listings)
        self.leads: list[Numbers] = [np.empty(0, np.int64)] * size
        self.lags: list[Numbers] = [np.empty(0, np.int64)] * size
        self._unique = np.zeros(size, np.int64)
        numbers = _joined([listing.numbers for listing in listings])
        if not numbers.size:
            return
        times = _joined([listing.times for listing in listings])
        lengths = [listing.numbers.size for listing in listings]
        places = np.repeat(np.arange(size, dtype=np.uint16), lengths)
        # The lists are sorted already, mostly: a stable sort merges them.
        order = np.argsort((numbers << _TIME_BITS) | times, kind="stable")
        self._count(numbers[order], times[order], places[order], size)

    def count_unique(self, place: int) -> int:
        """How many observables only this source lists."""
        return int(self._unique[place])

    def _count(self, numbers: Numbers, times: Numbers, places: NDArray[Any], size: int) -> None:
        is_start = np.full(numbers.size, fill_value=True)
        is_start[1:] = numbers[1:] != numbers[:-1]
        starts = np.flatnonzero(is_start)
        counts = np.diff(np.append(starts, numbers.size))
        self._unique = np.bincount(places[starts[counts == 1]], minlength=size)
        shared = starts[counts > 1]
        lead = times[shared + 1] - times[shared]
        # Two sources of the same second: nobody was first.
        winners = places[shared][lead > 0]
        self.leads = _by_place(winners, lead[lead > 0], size)
        lag = times - np.repeat(times[starts], counts)
        self.lags = _by_place(places[lag > 0], lag[lag > 0], size)


def _joined(parts: Sequence[Numbers]) -> Numbers:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _by_place(places: NDArray[Any], values: Numbers, size: int) -> list[Numbers]:
    """Values by the source that they belong to."""
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(1, size))
    parts: list[Any] = np.split(values[order], ends)
    return parts


def _median(values: Numbers) -> float | None:
    return float(np.median(values)) if values.size else None


def smallest_cover(listings: Sequence[Listing], share: float = COVERED_SHARE) -> Cover:
    """The smallest set of sources that lists a share of what all list.

    The greedy choice is at most a little larger than the smallest set. Where there are few enough
    smaller sets, they are tried.
    """
    total = len(union_of(listings))
    goal = ceil(total * share)
    greedy = _greedy_places(listings, goal)
    size = len(greedy) - 1
    is_smallest = size < 1
    if size >= 1 and comb(len(listings), size) <= _MOST_TRIALS:
        is_smallest = True
        while size >= 1 and (smaller := _covering_set(listings, size, goal)):
            greedy = smaller
            size -= 1
    elif size >= 1:
        sizes = sorted((len(listing.members) for listing in listings), reverse=True)
        # Not even the largest lists reach the goal, if nothing of them were shared.
        is_smallest = sum(sizes[:size]) < goal
    return _cover(listings, greedy, is_smallest=is_smallest)


def _greedy_places(listings: Sequence[Listing], goal: int) -> list[int]:
    places: list[int] = []
    covered = BitMap()
    while len(covered) < goal:
        rest = [place for place in range(len(listings)) if place not in places]
        best = max(rest, key=lambda place: (_gain(listings[place], covered), -place))
        places.append(best)
        covered |= listings[best].members
    return places


def _gain(listing: Listing, covered: BitMap) -> int:
    """How many observables a source adds to what is covered."""
    return listing.members.difference_cardinality(covered)


def _covering_set(listings: Sequence[Listing], size: int, goal: int) -> list[int]:
    """A set of so many sources that reaches the goal; empty if there is none."""
    for places in combinations(range(len(listings)), size):
        if sum(len(listings[place].members) for place in places) < goal:
            continue
        if len(BitMap.union(*(listings[place].members for place in places))) >= goal:
            return list(places)
    return []


def _cover(listings: Sequence[Listing], places: Sequence[int], *, is_smallest: bool) -> Cover:
    """A set of sources, the one that adds the most first."""
    rest = list(places)
    ordered: list[int] = []
    reached: list[int] = []
    covered = BitMap()
    while rest:
        best = max(rest, key=lambda place: (_gain(listings[place], covered), -place))
        rest.remove(best)
        covered |= listings[best].members
        ordered.append(best)
        reached.append(len(covered))
    return Cover(ordered, reached, is_smallest)
