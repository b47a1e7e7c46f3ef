"""Rises of subjects against a model that adds up every window anew."""

from collections import Counter
from math import sqrt
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.observables.trends.events import Chunk, FeedIdentity, ObservedIndicator
from services.observables.trends.rises import (
    HISTORY,
    MINUTES,
    SubjectRises,
    count_families,
    count_registrar,
    count_systems,
)

START = 1_800_000_000.0  # begins a window


def rises(counts: list[int]) -> list[tuple[int, int, float | None]]:
    """Minute, count and baseline of the rises of a family with these counts by minute."""
    subjects = SubjectRises()
    rises = []
    for minute, count in enumerate(counts):
        at = START + 60 * minute
        subjects.add("acme", "feed", Counter({("malware", "odd"): count} if count else {}), at)
        rises += [(minute, rise.count, rise.baseline) for rise in subjects.close(at + 60)]
    return rises


def test_a_family_rises_once_above_its_baseline() -> None:
    (rise,) = rises([1] * 400 + [10] * 30 + [1] * 60)
    # Ten a window are usual, 10 + 6·√10 = 28.97 are not: 3 times 10 and 7 times 1, in the third
    # minute of the rise.
    assert rise == (402, 37, 10.0)


def test_few_or_usual_numbers_do_not_rise() -> None:
    assert rises([0] * 400 + [1] * 19) == []
    assert rises([0] * 400 + [20]) == [(400, 20, 0.0)]
    assert rises([10] * 400 + [29] * 10) == [], "a rise needs three times the mean"


def test_a_new_tenant_has_no_rises() -> None:
    assert rises([500] * 30) == []
    assert rises([0] * 59 + [500]) == []
    assert rises([0] * 60 + [500]) == [(60, 500, 0.0)]


def test_a_second_rise_is_announced_again() -> None:
    assert [minute for minute, *_ in rises([0] * 60 + [20] + [0] * 300 + [200])] == [60, 361]


def test_subjects_of_a_chunk() -> None:
    chunk = Chunk(
        FeedIdentity(UUID(int=1), "feed"),
        "",
        [
            ObservedIndicator("ipv4-addr", "192.0.2.1", "Emotet"),
            ObservedIndicator("ipv6-addr", "2001:db8::1", " emotet "),
            ObservedIndicator("url", "u", "\0"),
            ObservedIndicator("domain-name", "192.0.2.7"),
            ObservedIndicator("ipv4-addr", "198.51.100.1"),
        ],
    )
    assert count_families(chunk) == {("malware", "emotet"): 2}
    numbers = {"192.0.2.1": 64496, "2001:db8::1": 64496, "192.0.2.7": 1}

    def numbers_of(_type: str, values: list[str]) -> list[int | None]:
        return [numbers.get(value) for value in values]

    observables = [(indicator.type, indicator.value) for indicator in chunk.seen]
    assert count_systems(observables, numbers_of) == {("as", "AS64496"): 2}


def test_registrars_are_counted_by_their_plain_name() -> None:
    counts = count_registrar(" Example Registrar, Inc. ")
    assert counts == {("registrar", "example registrar, inc."): 1}
    for name in (None, "\0", ["x"], ""):
        assert count_registrar(name) == {}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=140), st.integers(0, 3))
def test_rises_are_those_of_the_model(counts: list[int], usual: int) -> None:
    counts = [usual] * 300 + counts
    high = None
    expected = []
    for minute in range(len(counts)):
        count = sum(counts[max(0, minute - MINUTES + 1) : minute + 1])
        before = counts[max(0, minute + 1 - MINUTES * (HISTORY + 1)) : max(0, minute + 1 - MINUTES)]
        mean = sum(before) / min(HISTORY, max(1, minute + 1 - MINUTES) / MINUTES)
        if count >= max(20, mean + 6 * sqrt(mean), 3 * mean) and minute >= 60:
            if high is None or minute - high > MINUTES:
                expected.append((minute, count, round(mean, 3)))
            high = minute
    assert rises(counts) == expected
