"""Trends are a function of the log: in any order of partitions, and when it is read again."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from services.observables.trends.analysis import (
    RISES_BACK,
    Analysis,
    PartitionSpan,
    ReplayPlan,
    epoch_seconds,
)
from services.observables.trends.rises import HISTORY
from services.observables.trends.trend import WINDOW, Trend
from shared.errors import InvalidInput
from shared.events import ConsumedRecord, Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.events.observables import CHANGED, ENRICHED, Change, Enriched, ObservablesChanged

START = 1_800_000_000.0  # begins a window

PLACES = [
    (topic, partition)
    for topic in (OBSERVED.name, CHANGED.name, ENRICHED.name)
    for partition in range(2)
]


def record(event: Event, partition: int, offset: int) -> ConsumedRecord:
    return ConsumedRecord(
        event.topic.name, partition, offset, event.key, event.payload(), event.headers()
    )


class LogBuilder:
    """A log of two partitions and three topics.

    Values are spread by partition, families over both; events are out of order within limits.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311  # a test's
        self._answers = random.Random(seed)  # noqa: S311  # a test's
        self._offsets = Counter()
        self._steps = 0
        self._records: list[tuple[ConsumedRecord, float]] = []

    def build(self, hours: float) -> list[tuple[ConsumedRecord, float]]:
        at = START
        while at < START + hours * 3600:
            at += self._chance.expovariate(1 / 20)
            partition = self._chance.randrange(2)
            for data in self._events(partition, at):
                self._append(data, partition, at)
        return self._records

    def _events(self, partition: int, at: float) -> Iterator[Event]:
        chance = self._chance
        number = chance.randrange(7)
        feed = FeedRef(UUID(int=number), f"feed {number}")
        self._steps += 1
        is_surge = self._steps in {800, 1_200}
        # A list without families is what makes values burst.
        is_list = chance.random() < 0.05
        names = ["Odd"] * (900 if is_surge else 1) + ["Even"] * chance.randrange(3)
        names += [None] * (60 if is_list else 0)
        seen = [
            Indicator("ipv4-addr", f"{partition}.0.0.{chance.randrange(60)}", malware=name)
            for name in names
        ]
        observed_at = datetime.fromtimestamp(at - chance.randrange(90), UTC).isoformat()
        chunk = IndicatorsObserved(feed, UUID(int=0), 0, 0, observed_at, seen=seen)
        yield Event(OBSERVED, chunk, "acme", "s", traceparent=None)
        is_new_surge = self._steps in {850, 1_250}
        if is_new_surge or chance.random() < 0.1:
            new = [Change("x", "ipv4-addr", "192.0.2.1", "new", 1)] * (900 if is_new_surge else 1)
            changed = ObservablesChanged(UUID(int=1), "feed 1", new)
            yield Event(CHANGED, changed, "acme", "s", traceparent=None)
        is_answer_surge = self._steps in {900, 1_300}
        if is_answer_surge or self._answers.random() < 0.1:
            facts = {"registrar": "Example Registrar"}
            answer = Enriched("x", "domain-name", "example.com", "rdap", facts, observed_at)
            for _ in range(500 if is_answer_surge else 1):
                yield Event(ENRICHED, answer, "acme", "s", traceparent=None)

    def _append(self, event: Event, partition: int, at: float) -> None:
        place = (event.topic.name, partition)
        self._records.append((record(event, partition, self._offsets[place]), at))
        self._offsets[place] += 1


def log_of(seed: int, hours: float = 9.0) -> list[tuple[ConsumedRecord, float]]:
    return LogBuilder(seed).build(hours)


def read(
    log: list[tuple[ConsumedRecord, float]], plan: ReplayPlan | None = None, seed: int | None = None
) -> set[Trend]:
    """The trends of a log, its partitions read in the log's order or in turns by a seed."""
    spans = plan.spans if plan else dict.fromkeys(PLACES, PartitionSpan(0, 0, 10**9))
    analysis = Analysis(
        plan or ReplayPlan(spans), numbers_of=lambda _type, values: [64496] * len(values)
    )
    waiting = {place: [] for place in PLACES}
    order = []
    for consumed, at in log:
        place = (consumed.topic, consumed.partition)
        if consumed.offset >= spans[place].begin:
            waiting[place].append((consumed, at))
            order.append(place)
    if seed is not None:
        random.Random(seed).shuffle(order)  # noqa: S311  # a test's
    trends: set[Trend] = set()
    for number, place in enumerate(order):
        trends.update(analysis.handle(*waiting[place].pop(0)))
        if number % 10 == 0:
            trends.update(analysis.tick(0.0, {}))
    ends = analysis.positions()
    trends.update(analysis.tick(log[-1][1] + 600, ends))
    return trends


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_the_order_of_partitions_changes_nothing(seed: int) -> None:
    log = log_of(seed)
    trends = read(log)
    assert {trend.kind for trend in trends} == {"value", "malware", "as", "registrar"}
    assert read(log, seed=1) == read(log, seed=2) == trends
    # Records that are read twice, as after a rebalance, are recognised by their offsets.
    assert read([entry for entry in log for _ in range(2)], seed=3) == trends


@pytest.mark.parametrize("hours", [0.2, 7.6, 8.4])
def test_a_reading_that_resumes_finds_the_remaining_trends(hours: float) -> None:
    """After a kill, older records are read again as far as the plan asks, and not announced."""
    log = log_of(7)
    since = START + hours * 3600
    whole = read(log)

    def first(time: float) -> dict[tuple[str, int], int]:
        offsets = dict.fromkeys(PLACES, 10**9)
        for consumed, at in log:
            place = (consumed.topic, consumed.partition)
            if at >= time:
                offsets[place] = min(offsets[place], consumed.offset)
        return offsets

    begin = first(since - (HISTORY + 2) * WINDOW - RISES_BACK - 120)
    resume = first(since)
    spans = {place: PartitionSpan(begin[place], resume[place], 10**9) for place in PLACES}
    again = read(log, ReplayPlan(spans, since - 2 * WINDOW - 120, since - RISES_BACK), seed=5)
    assert again <= whole
    assert {trend for trend in whole if trend.window_start >= since} <= again
    assert {trend.id for trend in again} == {trend.id for trend in whole if trend in again}


def test_identities_tell_trends_apart() -> None:
    trend = Trend("acme", "value", "a", "url", (), 5, None, 0)
    others = [
        replace(trend, tenant="globex"),
        replace(trend, subject="b"),
        replace(trend, type="domain-name"),
        replace(trend, kind="malware", type=None),
        replace(trend, window_start=600),
    ]
    assert len({trend.id, *(other.id for other in others)}) == 6
    assert replace(trend, feeds=("x",), count=9).id == trend.id


def test_unreadable_records_are_refused_and_passed() -> None:
    data = IndicatorsObserved(FeedRef(UUID(int=1), "f"), UUID(int=0), 0, 0, "2026-11-23T10:00:00Z")
    good = record(Event(OBSERVED, data, "acme", "s"), 0, 0)
    undated = msgspec.structs.replace(data, observed_at="yesterday")
    bad_time = record(Event(OBSERVED, undated, "acme", "s"), 0, 2)
    analysis = Analysis(ReplayPlan({(OBSERVED.name, 0): PartitionSpan(0, 0, 9)}))
    for bad in (replace(good, value=b"{"), replace(good, offset=1, headers=[]), bad_time):
        with pytest.raises(InvalidInput):
            analysis.handle(bad, START)
    assert analysis.positions() == {(OBSERVED.name, 0): 3}


def test_times_without_an_offset_are_utc() -> None:
    expected = epoch_seconds("2026-11-23T10:00:00Z")
    assert epoch_seconds("2026-11-23T12:00:00+02:00") == expected
    assert epoch_seconds("2026-11-23T10:00:00") == expected
    with pytest.raises(ValueError, match="yesterday"):
        epoch_seconds("yesterday")


def test_what_a_feed_only_says_again_is_no_news() -> None:
    """Feeds that repeat their lists within minutes make no burst of what they list."""
    log = []
    for number in range(6):
        feed = FeedRef(UUID(int=number), f"feed {number}", kind="snapshot")
        at = datetime.fromtimestamp(START + number, UTC).isoformat()
        seen = [Indicator("ipv4-addr", "192.0.2.1", malware="Odd")] * 200
        for is_repetition in (False, True):
            data = IndicatorsObserved(
                feed, UUID(int=0), 0, 0, at, seen=seen, is_repetition=is_repetition
            )
            log.append((record(Event(OBSERVED, data, "acme", "s"), 0, len(log)), START + number))
    news = [(replace(entry, offset=place // 2), at) for place, (entry, at) in enumerate(log)]
    assert {trend.kind for trend in read(news[::2])} == {"value"}
    assert read(news[1::2]) == set()
