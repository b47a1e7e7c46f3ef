"""Worlds of synthetic feeds with known truth: who lists what, on which day, and who copies whom.

Every value has a visibility: what many see, many list. A feed lists what is bad as far as it sees
it, some days later, and mistakes, so that its precision is its reliability.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.observables.evidence.copies import SourceOrigin
from services.observables.evidence.listings import Listings

TYPES: Final = ("ipv4-addr", "domain-name", "url")
BAD: Final = 0.1
"""The share of values that are bad."""
DAYS: Final = 90
KNOWN_MISTAKES: Final = 0.3
"""The share of mistakes that allow-lists or analysts have found when sources are measured."""
_TEMPTATIONS: Final = 0.05
"""The share of harmless values that all feeds mistake, where they share mistakes."""


@dataclass(slots=True)
class World:
    """Feeds over values, which are numbers.

    Attributes:
        bad: values below it are bad: the truth.
        feeds: by name, the day on which each value was listed.
        reliability: by feed, its true precision in per cent.
        copies: planted: the copier and the original.
        found_mistakes: harmless values that are known to be.
    """

    bad: int
    feeds: dict[str, dict[int, int]] = field(default_factory=dict)
    reliability: dict[str, int] = field(default_factory=dict)
    copies: set[tuple[str, str]] = field(default_factory=set)
    found_mistakes: set[int] = field(default_factory=set)

    def is_bad(self, value: int) -> bool:
        """Whether a value is bad in truth."""
        return value < self.bad


def type_of(value: int) -> str:
    """The type of a value."""
    return TYPES[value % len(TYPES)]


def build_world(seed: int, values: int, *, has_copies: bool, has_shared_mistakes: bool) -> World:
    """A world of twelve feeds.

    Args:
        seed: of chance.
        values: how many there are.
        has_copies: whether six of the feeds are nested lists, a mirror, copiers and an aggregator.
        has_shared_mistakes: whether independent feeds make the same mistakes.
    """
    chance = random.Random(seed)  # noqa: S311
    world = World(round(values * BAD))
    visibility = [min(1.0, chance.expovariate(1.0) / 3) for _ in range(world.bad)]
    pool = round((values - world.bad) * (_TEMPTATIONS if has_shared_mistakes else 1))
    for number in range(6 if has_copies else 12):
        coverage = chance.uniform(0.15, 0.6)
        reliability = chance.choice((55, 65, 75, 85))
        slowness = chance.uniform(1, 6)
        listed = [
            value for value, seen in enumerate(visibility) if chance.random() < coverage * seen
        ]
        wrong = min(round(len(listed) * (100 - reliability) / reliability), pool)
        listed += chance.sample(range(world.bad, world.bad + pool), wrong)
        world.feeds[f"feed {number}"] = {
            value: value * 7919 % DAYS + round(chance.expovariate(1 / slowness)) for value in listed
        }
    if has_copies:
        _add_copies(world, chance)
    for name, days in world.feeds.items():
        world.reliability[name] = round(100 * sum(map(world.is_bad, days)) / len(days))
    for value in sorted(set().union(*world.feeds.values())):
        if not world.is_bad(value) and chance.random() < KNOWN_MISTAKES:
            world.found_mistakes.add(value)
    return world


def _add_copies(world: World, chance: random.Random) -> None:
    feeds = world.feeds
    feeds["copier"] = {
        value: day + 1 + round(chance.expovariate(0.7))
        for value, day in feeds["feed 0"].items()
        if chance.random() < 0.8
    }
    feeds["mirror"] = {value: day + chance.randrange(2) for value, day in feeds["feed 1"].items()}
    both = {**feeds["feed 2"], **feeds["feed 3"]}
    feeds["aggregator"] = {value: day + chance.randrange(1, 3) for value, day in both.items()}
    feeds["half copier"] = {
        value: day + 1 + round(chance.expovariate(0.5))
        for value, day in feeds["feed 4"].items()
        if chance.random() < 0.5
    }
    for level, share in (("level 2", 0.5), ("level 3", 0.2)):
        above = "feed 5" if level == "level 2" else "level 2"
        feeds[level] = {
            value: day for value, day in feeds[above].items() if chance.random() < share
        }
    world.copies = {
        ("copier", "feed 0"),
        ("mirror", "feed 1"),
        ("aggregator", "feed 2"),
        ("aggregator", "feed 3"),
        ("half copier", "feed 4"),
        # Of nested lists that are published together nobody can tell which came first.
        ("feed 5", "level 2"),
        ("feed 5", "level 3"),
        ("level 2", "level 3"),
    }


def listings_of(world: World) -> tuple[Listings, list[SourceOrigin]]:
    """What the SQL of `services.observables.evidence` counts, and the sources by number."""
    by_value: dict[int, list[tuple[int, int]]] = {}
    for number, days in enumerate(world.feeds.values()):
        for value, day in days.items():
            by_value.setdefault(value, []).append((number, day))
    patterns: Counter[tuple[str, str, bool]] = Counter()
    for value, entries in by_value.items():
        order = sorted({day for _, day in entries})
        places = {day: place for place, day in enumerate(order, 1)}
        text = " ".join(f"{number}:{places[day]}" for number, day in entries)
        patterns[type_of(value), text, value in world.found_mistakes] += 1
    listings = Listings()
    for (type_, text, is_mistake), count in patterns.items():
        listings.add(type_, text, count, is_mistake=is_mistake)
    return listings, [SourceOrigin(name, name) for name in world.feeds]


def copies_by_name(
    pairs: Mapping[tuple[str, str], float],
) -> dict[str, tuple[tuple[str, float], ...]]:
    """Measured pairs as claims hold them: by copier, the originals with their probability."""
    by_copier: dict[str, list[tuple[str, float]]] = {}
    for (copier, original), probability in sorted(pairs.items()):
        by_copier.setdefault(copier, []).append((original, probability))
    return {copier: tuple(originals) for copier, originals in by_copier.items()}
