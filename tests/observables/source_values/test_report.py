"""The figures of a report are those that counting one by one gives."""

import random
from itertools import combinations
from math import ceil
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from services.observables.source_values.report import (
    Listing,
    figures_of,
    overlaps,
    smallest_cover,
    union_of,
)

NOW = 1_000_000
World = list[dict[int, int]]

WORLDS = st.lists(
    st.dictionaries(st.integers(0, 40), st.integers(NOW - 50, NOW), max_size=30), max_size=6
)


def listing(times: dict[int, int]) -> Listing:
    """What a source lists, by the moments at which it first did."""
    return Listing(
        BitMap(times),
        np.array(list(times), np.int64),
        np.array(list(times.values()), np.int64),
        BitMap(number for number in times if number % 7 == 0),
    )


def expected_figures(world: World, place: int) -> tuple[object, ...]:
    own = world[place]
    leads = []
    lags = []
    unique = 0
    for number, moment in own.items():
        others = [
            times[number] for other, times in enumerate(world) if other != place and number in times
        ]
        if not others:
            unique += 1
        elif moment < min(others):
            leads.append(min(others) - moment)
        elif moment > min(others):
            lags.append(moment - min(others))
    return (
        len(own),
        unique,
        len(own) - unique,
        len(leads),
        median(leads) if leads else None,
        median(lags) if lags else None,
        sum(1 for number in own if number % 7 == 0),
        {10: sum(1 for moment in own.values() if moment >= NOW - 10)},
    )


@given(WORLDS)
@settings(deadline=None, max_examples=300)
def test_figures_are_those_of_counting(world: World) -> None:
    figures = figures_of(list(map(listing, world)), NOW, [10])
    for place, figure in enumerate(figures):
        counted = (
            *(figure.observables, figure.unique, figure.shared, figure.first),
            *(figure.lead_seconds, figure.lag_seconds, figure.harmless, figure.fresh),
        )
        assert counted == expected_figures(world, place)


@given(WORLDS)
@settings(deadline=None, max_examples=200)
def test_overlaps_are_those_of_sets(world: World) -> None:
    matrix = overlaps(list(map(listing, world)))
    for row, first in enumerate(world):
        assert matrix[row] == [len(first.keys() & second.keys()) for second in world]


@given(WORLDS)
@settings(deadline=None, max_examples=200)
def test_no_smaller_set_covers_as_much(world: World) -> None:
    listings = list(map(listing, world))
    cover = smallest_cover(listings, 0.95)
    total = len(union_of(listings))
    goal = ceil(total * 0.95)
    if not total:
        assert cover.places == []
        return
    assert cover.is_smallest
    assert cover.reached[-1] >= goal
    assert cover.reached == sorted(cover.reached)
    for size in range(len(cover.places)):
        for places in combinations(world, size):
            assert len(set().union(*places)) < goal


def test_many_sources_get_a_cover_that_does_not_claim_to_be_the_smallest() -> None:
    chance = random.Random(5)  # noqa: S311  # the same world in each run
    world: World = [dict.fromkeys(chance.sample(range(400), 60), NOW) for _ in range(40)]
    cover = smallest_cover(list(map(listing, world)))
    assert len(cover.places) < len(world)
    assert not cover.is_smallest


def test_no_source_is_no_error() -> None:
    assert overlaps([]) == []
    assert figures_of([], NOW, [1]) == []
    assert smallest_cover([]).places == []


@pytest.mark.parametrize("moments", [(5, 5), (0, 0)], ids=["later", "at-the-beginning"])
def test_of_two_sources_of_one_moment_none_is_first(moments: tuple[int, int]) -> None:
    figures = figures_of([listing({1: moments[0]}), listing({1: moments[1]})], NOW, [])
    assert [figure.first for figure in figures] == [0, 0]
