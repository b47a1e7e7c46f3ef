"""What a trend is, and that it is a function of the log: against a model, in any order of partitions, read again."""

import random
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from math import sqrt
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.trends.analysis import RISES_BACK, Analysis, PartitionSpan, ReplayPlan
from services.observables.trends.windows import (
    HISTORY,
    MINUTES,
    WINDOW,
    Chunk,
    FeedIdentity,
    ObservedIndicator,
    SubjectRises,
    Trend,
    ValueBursts,
    families,
    moment,
    networks,
    registrars,
)
from shared.errors import InvalidInput
from shared.events import ConsumedRecord, Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.events.observables import CHANGED, ENRICHED, Change, Enriched, ObservablesChanged

START = 1_800_000_000.0  # begins a window
DAY = 24 * 3600


def chunk(feed: int, *values: str, malware: str | None = None) -> Chunk:
    return Chunk(
        FeedIdentity(UUID(int=feed), f"feed {feed}"),
        "",
        [ObservedIndicator("ipv4-addr", value, malware) for value in values],
    )


def burst_at(
    values: ValueBursts, *sightings: tuple[int, float], tenant: str = "acme"
) -> list[float]:
    """Times of the sightings (feed, seconds) of one value that complete a burst."""
    return [
        at for feed, at in sightings if values.add(tenant, chunk(feed, "192.0.2.1"), START + at)
    ]


def test_the_fifth_feed_within_the_window_makes_a_burst() -> None:
    values = ValueBursts()
    assert burst_at(values, *((feed, feed * 100) for feed in range(4))) == []
    (found,) = values.add("acme", chunk(4, "192.0.2.9", "192.0.2.1"), START + 599)
    assert found.subject == "192.0.2.1"
    assert found.feeds == tuple(f"feed {feed}" for feed in range(5))
    assert (found.count, found.kind, found.type, found.window_start) == (
        5,
        "value",
        "ipv4-addr",
        START,
    )


def test_a_sighting_leaves_the_window_after_its_length() -> None:
    assert burst_at(ValueBursts(), *((feed, feed * 100) for feed in range(4)), (4, 600)) == []
    assert burst_at(ValueBursts(), *((feed, 1 + feed * 100) for feed in range(4)), (4, 600)) == [
        600
    ]


def test_one_feed_that_repeats_itself_is_one_feed() -> None:
    assert burst_at(ValueBursts(), *((0, at) for at in range(20)), (1, 30), (2, 31), (3, 32)) == []


def test_a_burst_is_one_until_it_has_fallen_out_of_the_window() -> None:
    five = [(feed, float(feed)) for feed in range(5)]
    values = ValueBursts()
    assert burst_at(values, *five, *((feed, 100.0 + feed) for feed in range(9))) == [4]
    assert burst_at(values, *((feed, 700.0 + feed) for feed in range(9))) == [], (
        "it never stopped for a window's length"
    )
    assert burst_at(values, *((feed, 1400.0 + feed) for feed in range(5))) == [1404]


def test_tenants_types_and_values_are_kept_apart() -> None:
    values = ValueBursts()
    for feed in range(4):
        assert burst_at(values, (feed, feed)) == []
        assert burst_at(values, (feed + 1, feed), tenant="globex") == []
    other = Chunk(FeedIdentity(UUID(int=8), "8"), "", [ObservedIndicator("ipv6-addr", "192.0.2.1")])
    assert values.add("acme", other, START + 9) == []
    assert burst_at(values, (8, 9)) == [9]


def test_what_cannot_be_stored_never_bursts() -> None:
    values = ValueBursts()
    bad = [
        ObservedIndicator("carrier-pigeon", "coo"),
        ObservedIndicator("url", "x\0"),
        ObservedIndicator("url", ""),
        ObservedIndicator("url", "x" * 9000),
    ]
    for feed in range(6):
        assert (
            values.add("acme", Chunk(FeedIdentity(UUID(int=feed), "f\0eed"), "", bad), START) == []
        )
    assert all(burst_at(values, (feed, 0.0)) == [] for feed in range(4))
    assert (
        values.add(
            "acme",
            Chunk(
                FeedIdentity(UUID(int=7), "a\0b"), "", [ObservedIndicator("ipv4-addr", "192.0.2.1")]
            ),
            START,
        )[0].feeds[0]
        == "ab"
    )


sightings = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 2), st.integers(0, 2 * WINDOW), st.integers(0, WINDOW)
    ),
    max_size=80,
)


def model(events: list[tuple[int, int, float]], feeds: int = 3) -> list[tuple[int, float]]:
    """Bursts by the definition: all sightings are kept for ever and looked through for each event."""
    seen: list[tuple[int, int, float]] = []
    high: dict[int, float] = {}
    bursts = []
    for feed, value, at in events:
        seen.append((feed, value, at))
        latest = max(time for _, which, time in seen if which == value)
        around = {who for who, which, time in seen if which == value and latest - WINDOW < time}
        if len(around) < feeds:
            continue
        if value not in high or latest - high[value] >= WINDOW:
            bursts.append((value, latest))
        high[value] = latest
    return bursts


@given(sightings)
def test_bursts_are_those_of_the_model(raw: list[tuple[int, int, int, int]]) -> None:
    """Events come up to a window late; the pauses between them may be longer than any generation."""
    events, now = [], START
    for feed, value, pause, late in raw:
        now += pause
        events.append((feed, value, now - late))
    values, found = ValueBursts(feeds=3), []
    for feed, value, at in events:
        bursts = values.add("acme", chunk(feed, str(value)), at)
        # Something else keeps the generations turning.
        values.add("acme", chunk(99, f"other {at}"), at)
        found += [(value, one.window_start) for one in bursts]
    assert found == [(value, latest // WINDOW * WINDOW) for value, latest in model(events)]


def test_a_million_values_take_about_a_hundred_bytes_each() -> None:
    values = ValueBursts()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(200):
        values.add("acme", chunk(1, *(f"{number}.{one}" for one in range(1000))), START)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(values) == 200_000
    assert used / 200_000 < 130


def test_what_is_kept_is_bounded() -> None:
    values = ValueBursts(keys=1000)
    for number in range(50):
        values.add("acme", chunk(1, *(f"{number}.{one}" for one in range(100))), START + number)
    assert len(values) <= 2 * 1100
    values.add("acme", chunk(1, "x"), START + DAY)
    assert len(values) == 1


def rises(counts: list[int], last: int | None = None) -> list[tuple[int, int, float | None]]:
    """Minute, count and baseline of the rises of a family with these counts by minute."""
    subjects, found = SubjectRises(), []
    for minute, count in enumerate(counts):
        at = START + 60 * minute
        subjects.add("acme", "feed", Counter({("malware", "odd"): count} if count else {}), at)
        found += [(minute, one.count, one.baseline) for one in subjects.close(at + 60)]
    return found


def test_a_family_rises_once_above_its_baseline() -> None:
    (found,) = rises([1] * 400 + [10] * 30 + [1] * 60)
    # Ten a window are usual, 10 + 6·√10 = 28.97 are not: 3 times 10 and 7 times 1, in the third minute of the rise.
    assert found == (402, 37, 10.0)


def test_what_is_few_or_usual_does_not_rise() -> None:
    assert rises([0] * 400 + [1] * 19) == []
    assert rises([0] * 400 + [20]) == [(400, 20, 0.0)]
    assert rises([10] * 400 + [29] * 10) == [], "three times the mean is asked for"


def test_a_tenant_that_was_never_heard_of_has_no_news() -> None:
    assert rises([500] * 30) == []
    assert rises([0] * 59 + [500]) == []
    assert rises([0] * 60 + [500]) == [(60, 500, 0.0)]


def test_a_second_rise_is_told_again() -> None:
    assert [minute for minute, *_ in rises([0] * 60 + [20] + [0] * 300 + [200])] == [60, 361]


def test_subjects_of_a_chunk() -> None:
    data = Chunk(
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
    assert families(data) == {("malware", "emotet"): 2}
    numbers = {"192.0.2.1": 64496, "2001:db8::1": 64496, "192.0.2.7": 1}

    def numbers_of(_type: str, values: list[str]) -> list[int | None]:
        return [numbers.get(value) for value in values]

    assert networks([(one.type, one.value) for one in data.seen], numbers_of) == {
        ("as", "AS64496"): 2
    }
    assert registrars(" Example Registrar, Inc. ") == {("registrar", "example registrar, inc."): 1}
    assert registrars(None) == registrars("\0") == registrars(["x"]) == registrars("") == {}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=140), st.integers(0, 3))
def test_rises_are_those_of_the_model(counts: list[int], usual: int) -> None:
    counts = [usual] * 300 + counts
    high, expected = None, []
    for minute in range(len(counts)):
        count = sum(counts[max(0, minute - MINUTES + 1) : minute + 1])
        before = counts[max(0, minute + 1 - MINUTES * (HISTORY + 1)) : max(0, minute + 1 - MINUTES)]
        mean = sum(before) / min(HISTORY, max(1, minute + 1 - MINUTES) / MINUTES)
        if count >= max(20, mean + 6 * sqrt(mean), 3 * mean) and minute >= 60:
            if high is None or minute - high > MINUTES:
                expected.append((minute, count, round(mean, 3)))
            high = minute
    assert rises(counts) == expected


def record(event: Event, partition: int, offset: int) -> ConsumedRecord:
    return ConsumedRecord(
        event.topic.name, partition, offset, event.key, event.payload(), event.headers()
    )


def log_of(seed: int, hours: float = 9.0) -> list[tuple[ConsumedRecord, float]]:
    """A log of two partitions and three topics: values by partition, families over both, out of order within limits."""
    chance = random.Random(seed)  # noqa: S311  # a test's
    answers = random.Random(seed)  # noqa: S311  # a test's
    log, offsets, at = [], Counter(), START
    while at < START + hours * 3600:
        at += chance.expovariate(1 / 20)
        partition = chance.randrange(2)
        feed = chance.randrange(7)
        surge = chance.random() < 0.02
        names = ["Odd"] * (60 if surge else 1) + ["Even"] * chance.randrange(3)
        seen = [
            Indicator("ipv4-addr", f"{partition}.0.0.{chance.randrange(60)}", malware=name)
            for name in names
        ]
        said = datetime.fromtimestamp(at - chance.randrange(90), UTC).isoformat()
        data = IndicatorsObserved(
            FeedRef(UUID(int=feed), f"feed {feed}"), UUID(int=0), 0, 0, said, seen=seen
        )
        place = (OBSERVED.name, partition)
        log.append(
            (
                record(
                    Event(OBSERVED, data, "acme", "s", traceparent=None), partition, offsets[place]
                ),
                at,
            )
        )
        offsets[place] += 1
        if chance.random() < 0.1:
            new = [Change("x", "ipv4-addr", "192.0.2.1", "new", 1)] * chance.choice([1, 40])
            told = Event(
                CHANGED,
                ObservablesChanged(UUID(int=1), "feed 1", new),
                "acme",
                "s",
                traceparent=None,
            )
            log.append((record(told, partition, offsets[CHANGED.name, partition]), at))
            offsets[CHANGED.name, partition] += 1
        if answers.random() < 0.1:
            for _ in range(answers.choice([1, 40])):
                facts = {"registrar": "Example Registrar"}
                answer = Enriched("x", "domain-name", "example.com", "rdap", facts, said)
                told = Event(ENRICHED, answer, "acme", "s", traceparent=None)
                log.append((record(told, partition, offsets[ENRICHED.name, partition]), at))
                offsets[ENRICHED.name, partition] += 1
    return log


PLACES = [
    (topic, partition)
    for topic in (OBSERVED.name, CHANGED.name, ENRICHED.name)
    for partition in range(2)
]


def read(
    log: list[tuple[ConsumedRecord, float]], plan: ReplayPlan | None = None, seed: int | None = None
) -> set[Trend]:
    """The trends of a log, its partitions read in turns that the seed decides; without one in the log's order."""
    spans = plan.spans if plan else dict.fromkeys(PLACES, PartitionSpan(0, 0, 10**9))
    analysis = Analysis(
        plan or ReplayPlan(spans), numbers_of=lambda _type, values: [64496] * len(values)
    )
    waiting = {place: [] for place in PLACES}
    for one, at in log:
        if one.offset >= spans[one.topic, one.partition].begin:
            waiting[one.topic, one.partition].append((one, at))
    found: set[Trend] = set()
    chance = random.Random(seed)  # noqa: S311  # a test's
    order = [
        (one.topic, one.partition)
        for one, _ in log
        if one.offset >= spans[one.topic, one.partition].begin
    ]
    if seed is not None:
        chance.shuffle(order)
    for number, place in enumerate(order):
        found.update(analysis.handle(*waiting[place].pop(0)))
        if number % 10 == 0:
            found.update(analysis.tick(0.0, {}))
    ends = analysis.positions()
    found.update(analysis.tick(log[-1][1] + 600, ends))
    return found


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_the_order_of_partitions_changes_nothing(seed: int) -> None:
    log = log_of(seed)
    found = read(log)
    assert {one.kind for one in found} == {"value", "malware", "as", "registrar"}
    assert read(log, seed=1) == read(log, seed=2) == found
    # Records that are read twice, as after a rebalance, are known by their offsets.
    assert read([one for one in log for _ in range(2)], seed=3) == found


@pytest.mark.parametrize("hours", [0.2, 7.6, 8.4])
def test_a_reading_that_resumes_finds_the_trends_that_were_left(hours: float) -> None:
    """As after a kill: what was before is read again from as far back as the plan asks, and not announced."""
    log = log_of(7)
    since = START + hours * 3600
    whole = read(log)

    def first(time: float) -> dict[tuple[str, int], int]:
        return {
            place: next(
                (o.offset for o, at in log if (o.topic, o.partition) == place and at >= time), 10**9
            )
            for place in PLACES
        }

    begin, resume = first(since - (HISTORY + 2) * WINDOW - RISES_BACK - 120), first(since)
    spans = {place: PartitionSpan(begin[place], resume[place], 10**9) for place in PLACES}
    again = read(log, ReplayPlan(spans, since - 2 * WINDOW - 120, since - RISES_BACK), seed=5)
    assert again <= whole
    assert {one for one in whole if one.window_start >= since} <= again
    assert {one.id for one in again} == {one.id for one in whole if one in again}


def test_identities_tell_trends_apart() -> None:
    one = Trend("acme", "value", "a", "url", (), 5, None, 0)
    others = [
        replace(one, tenant="globex"),
        replace(one, subject="b"),
        replace(one, type="domain-name"),
        replace(one, kind="malware", type=None),
        replace(one, window_start=600),
    ]
    assert len({one.id, *(other.id for other in others)}) == 6
    assert replace(one, feeds=("x",), count=9).id == one.id


def test_unreadable_records_are_refused_and_passed() -> None:
    data = IndicatorsObserved(FeedRef(UUID(int=1), "f"), UUID(int=0), 0, 0, "2026-11-23T10:00:00Z")
    good = record(Event(OBSERVED, data, "acme", "s"), 0, 0)
    late = record(
        Event(OBSERVED, msgspec.structs.replace(data, observed_at="yesterday"), "acme", "s"), 0, 2
    )
    analysis = Analysis(ReplayPlan({(OBSERVED.name, 0): PartitionSpan(0, 0, 9)}))
    for bad in (replace(good, value=b"{"), replace(good, offset=1, headers=[]), late):
        with pytest.raises(InvalidInput):
            analysis.handle(bad, START)
    assert analysis.positions() == {(OBSERVED.name, 0): 3}


def test_moments() -> None:
    assert (
        moment("2026-11-23T10:00:00Z")
        == moment("2026-11-23T12:00:00+02:00")
        == moment("2026-11-23T10:00:00")
    )
    with pytest.raises(ValueError, match="yesterday"):
        moment("yesterday")
