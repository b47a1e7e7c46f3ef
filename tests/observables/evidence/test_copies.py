"""Copiers are found by what they share, and when: in worlds of feeds with known truth."""

import pytest

from bench._worlds import World, build_world, listings_of
from services.observables.evidence.copies import SourceOrigin, measure_copies, steady
from services.observables.evidence.listings import Listings


def found_pairs(world: World) -> set[tuple[str, str]]:
    listings, sources = listings_of(world)
    names = list(world.feeds)
    return {
        (names[pair.copier], names[pair.original]) for pair in measure_copies(listings, sources)
    }


@pytest.mark.parametrize("has_shared_mistakes", [False, True])
def test_planted_copiers_mirrors_aggregators_and_nested_lists_are_found(has_shared_mistakes: bool):
    world = build_world(5, 40_000, has_copies=True, has_shared_mistakes=has_shared_mistakes)
    assert found_pairs(world) == world.copies


@pytest.mark.parametrize("has_shared_mistakes", [False, True])
def test_independent_feeds_are_not_taken_for_copiers(has_shared_mistakes: bool):
    world = build_world(6, 30_000, has_copies=False, has_shared_mistakes=has_shared_mistakes)
    assert found_pairs(world) == set()


def listings(*rows: tuple[str, int]) -> Listings:
    result = Listings()
    for text, count in rows:
        result.add("ipv4-addr", text, count)
    return result


def sources(count: int) -> list[SourceOrigin]:
    return [SourceOrigin(str(number), str(number)) for number in range(count)]


def probability(*rows: tuple[str, int]) -> float:
    """That one of the first two of three sources copies the other."""
    pairs = measure_copies(listings(*rows), sources(3))
    return max([pair.probability for pair in pairs if 2 not in pair[:2]], default=0.0)


THIRD = (("2:1", 900), ("0:1 2:1", 50), ("1:1 2:1", 50))
"""What third sources list: each of the two lists a twentieth of it."""


def test_the_later_of_two_is_the_copier():
    (pair,) = measure_copies(listings(("0:1", 100), ("0:1 1:2", 100), *THIRD), sources(3))
    assert (pair.copier, pair.original) == (1, 0)
    assert pair.probability > 0.95
    assert (pair.earlier, pair.later) == (100, 0)


def test_two_who_see_the_same_are_independent_if_each_is_first_now_and_then():
    apart = [("0:1", 150), ("1:1", 150), *THIRD]
    mixed = [("0:1 1:2", 28), ("0:2 1:1", 22)]
    assert probability(*apart, *mixed) == 0
    assert probability(*apart, ("0:1 1:2", 50)) > 0.5


def test_lists_that_share_half_of_what_nobody_else_has_are_no_two_witnesses_in_any_order():
    """Two mirrors of a third list are fetched now the one first, now the other."""
    mirrors = [("0:1", 100), ("1:1", 100), ("0:1 1:2", 55), ("0:2 1:1", 45)]
    assert probability(*mirrors, *THIRD) > 0.9


def test_stated_origins_are_not_measured():
    rows = [("0:1", 100), ("0:1 1:2", 100), *THIRD]
    one_origin = [SourceOrigin("0", "a"), SourceOrigin("1", "a"), SourceOrigin("2", "b")]
    assert measure_copies(listings(*rows), one_origin) == []
    derived = [SourceOrigin("0", "a"), SourceOrigin("1", "b", ("a",)), SourceOrigin("2", "c")]
    assert measure_copies(listings(*rows), derived) == []


def test_pairs_make_no_circle():
    rows = [("0:1 1:2", 50), ("1:1 3:2", 50), ("0:2 3:1", 50), ("0:0 1:0 3:0", 200), *THIRD]
    pairs = {(pair.copier, pair.original) for pair in measure_copies(listings(*rows), sources(4))}
    assert len(pairs) == 3
    assert not {(0, 1), (1, 3), (3, 0)} <= pairs
    assert not {(1, 0), (3, 1), (0, 3)} <= pairs


def test_few_shared_observables_prove_nothing():
    own = [("0:1", 100), ("1:1", 30), *THIRD]
    assert probability(*own, ("0:1 1:2", 19)) == 0
    assert probability(*own, ("0:1 1:2", 40)) > 0.5


def test_a_probability_that_hardly_moved_stays():
    assert steady({"a": 0.97, "b": 0.4}, {"a": 0.99, "b": 0.9}) == {"a": 0.99, "b": 0.4}
