"""Peaks of hours: how they are expected, stored, and used after a restart."""

from collections import Counter
from datetime import UTC, datetime
from math import log
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.trends import repository, service
from services.observables.trends.events import FeedIdentity, origin_of
from services.observables.trends.expectation import (
    FALSE_ALARMS,
    HISTORY_HOURS,
    PeakDistribution,
    PeakHistory,
    largest_news,
)
from services.observables.trends.rises import SubjectRises
from services.observables.trends.trend import HourlyPeak, Subject
from shared.database import PLATFORM, PUBLIC, Database

NOW = 500_000
EMOTET: Subject = ("acme", "malware", "emotet")


def expected(peaks: dict[int, int], hour: int = NOW) -> PeakDistribution:
    history = PeakHistory()
    for at, peak in peaks.items():
        history.put(at, peak)
    return history.expectation(hour)


def test_a_subject_without_history_is_judged_by_what_is_believed_of_all() -> None:
    assert expected({}) == expected({NOW - HISTORY_HOURS - 1: 500}) == PeakDistribution(4.0, 2.0)


def test_the_mean_follows_the_hour_of_the_week() -> None:
    mondays = {NOW - 168 * week: 900 for week in range(1, 5)}
    others = {NOW - hour: 30 for hour in range(1, HISTORY_HOURS) if hour % 168 > 1}
    peaks = {**others, **mondays}
    assert 300 < expected(peaks).mean < 900
    assert expected(peaks, NOW + 12).mean < 60


def test_what_came_later_or_in_the_same_hour_does_not_count() -> None:
    before = {NOW - hour: 30 for hour in range(1, 30)}
    assert expected({**before, NOW: 999, NOW + 3: 999}) == expected(before)


def test_old_hours_leave_the_ring() -> None:
    history = PeakHistory()
    history.put(NOW - HISTORY_HOURS - 5, 900)
    history.put(NOW - 1, 30)
    history.put(NOW - HISTORY_HOURS - 5, 900)
    assert history.expectation(NOW).mean == pytest.approx(30)
    assert history.newest == NOW - 1


@given(st.floats(1, 5_000), st.floats(0.2, 20), st.integers(0, 20_000), st.integers(0, 5_000))
def test_a_tail_is_a_probability_that_falls(
    mean: float, size: float, count: int, more: int
) -> None:
    expectation = PeakDistribution(mean, size)
    assert 0 <= expectation.tail(count + more) <= expectation.tail(count) + 1e-12 <= 1 + 1e-12


def test_the_tail_of_a_geometric_distribution_is_exact_or_larger() -> None:
    # With size 1 the distribution is geometric: its tail is (mean / (1 + mean))^count.
    for count in (20, 60, 200):
        tail = PeakDistribution(10.0, 1.0).tail(count)
        assert log(tail) >= count * log(10 / 11) - 1e-9


def test_benjamini_and_hochberg() -> None:
    share = FALSE_ALARMS / 24
    assert largest_news([], 300) == -1
    assert largest_news([share / 100], 300) == -1
    assert largest_news([share / 300], 300) == share / 300
    # A second small probability makes the limit of the first one wider.
    assert largest_news([share / 160, share / 170], 300) == share / 160


@pytest.mark.parametrize(
    ("feed", "origin"),
    [
        (FeedIdentity(UUID(int=1), "ipsum-level3"), "ipsum"),
        (FeedIdentity(UUID(int=1), "blocklist-de-ssh", "blocklist.de"), "blocklist.de"),
        (FeedIdentity(UUID(int=1), "urlhaus"), str(UUID(int=1))),
        (FeedIdentity(UUID(int=1), "Our list - 1"), str(UUID(int=1))),
    ],
)
def test_the_origin_of_a_feed(feed: FeedIdentity, origin: str) -> None:
    assert origin_of(feed) == origin


def test_feeds_of_one_origin_count_once() -> None:
    subjects = SubjectRises()
    for minute in range(70):
        subjects.add("acme", "quiet", Counter(), minute * 60)
    for number in range(5):
        counts = Counter({("malware", "emotet"): 15})
        subjects.add("acme", f"ipsum-level{number}", counts, 70 * 60, "ipsum")
    assert subjects.close(80 * 60) == []
    subjects.add("acme", "urlhaus", Counter({("malware", "emotet"): 15}), 80 * 60)
    subjects.add("acme", "ipsum-level1", Counter({("malware", "emotet"): 15}), 80 * 60, "ipsum")
    (rise,) = subjects.close(90 * 60)
    assert (rise.count, rise.feeds) == (30, ("ipsum-level1", "urlhaus"))


def test_peaks_are_stored_once_and_the_higher_stays(own: Database) -> None:
    peaks = [
        HourlyPeak(EMOTET, NOW - 2, 30),
        HourlyPeak((PUBLIC, "as", "AS64496"), NOW - 1, 7),
        HourlyPeak(EMOTET, NOW - HISTORY_HOURS - 9, 99),
    ]
    for stored in (peaks, [HourlyPeak(EMOTET, NOW - 2, 20)]):
        with own.transaction(PLATFORM) as session:
            service.store_peaks(session, stored)
    assert sorted(service.load_peaks(own, NOW * 3600.0)) == sorted(peaks[:2])
    since = datetime.fromtimestamp(0, UTC)
    with own.transaction("other") as session:
        visible = repository.list_peaks(session, since, 10)
    assert [peak.subject[0] for peak in visible] == [PUBLIC]


def test_a_restart_knows_the_batches_of_before() -> None:
    first = NOW * 60
    peaks = [HourlyPeak(EMOTET, NOW - 24 * day, 200) for day in range(1, 15)]

    def rise_count(stored: list[HourlyPeak]) -> int:
        subjects = SubjectRises(stored)
        for minute in range(first - 360, first):
            subjects.add("acme", "feed", Counter(), minute * 60)
        subjects.add("acme", "feed", Counter({("malware", "emotet"): 210}), first * 60)
        return len(subjects.close((first + 1) * 60))

    assert (rise_count([]), rise_count(peaks)) == (1, 0)
