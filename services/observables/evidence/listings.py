"""Who lists what, and who was first, counted over observables. No I/O."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple


class Pattern(NamedTuple):
    """What observables have in common: their type, and the set of sources that list them.

    Attributes:
        members: the sources, a bit for the number of each.
        is_mistake: whether they are held to be harmless.
    """

    type: str
    members: int
    is_mistake: bool


class Listings:
    """Counts of observables by pattern, and of who was first.

    Attributes:
        patterns: how many observables have a pattern.
        earlier: by two sources, how many observables the first listed on an earlier day.
        same_day: by two sources, the lower number first, how many both listed on one day.
    """

    def __init__(self) -> None:
        self.patterns: Counter[Pattern] = Counter()
        self.earlier: Counter[tuple[int, int]] = Counter()
        self.same_day: Counter[tuple[int, int]] = Counter()

    def add(self, type_: str, listings: str, count: int, *, is_mistake: bool = False) -> None:
        """Add observables that the same sources list in the same order.

        Args:
            type_: of the observables.
            listings: the number of each source with the place of its day in their order, in the
                form `3:1 5:2`; the place 0 says that the day is of no meaning.
            count: how many observables.
            is_mistake: whether they are held to be harmless.
        """
        places: list[tuple[int, int]] = []
        members = 0
        for listing in listings.split():
            number, _, place = listing.partition(":")
            places.append((int(number), int(place)))
            members |= 1 << int(number)
        self.patterns[Pattern(type_, members, is_mistake)] += count
        dated = [listing for listing in places if listing[1]]
        for at, (source, day) in enumerate(dated):
            for other, other_day in dated[at + 1 :]:
                if day == other_day:
                    self.same_day[min(source, other), max(source, other)] += count
                elif day < other_day:
                    self.earlier[source, other] += count
                else:
                    self.earlier[other, source] += count


def numbers(members: int) -> Iterator[int]:
    """The numbers of the bits of a set."""
    while members:
        lowest = members & -members
        yield lowest.bit_length() - 1
        members ^= lowest
