"""Bursts of values against a model that keeps every sighting."""

import tracemalloc
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.observables.trends.bursts import ValueBursts
from services.observables.trends.events import Chunk, FeedIdentity, ObservedIndicator
from services.observables.trends.trend import WINDOW

START = 1_800_000_000.0  # begins a window
DAY = 24 * 3600


def chunk(feed: int, *values: str) -> Chunk:
    return Chunk(
        FeedIdentity(UUID(int=feed), f"feed {feed}"),
        "",
        [ObservedIndicator("ipv4-addr", value) for value in values],
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
    (burst,) = values.add("acme", chunk(4, "192.0.2.9", "192.0.2.1"), START + 599)
    assert burst.subject == "192.0.2.1"
    assert burst.feeds == tuple(f"feed {feed}" for feed in range(5))
    assert burst.count == 5
    assert burst.kind == "value"
    assert burst.type == "ipv4-addr"
    assert burst.window_start == START


def test_a_sighting_leaves_the_window_after_its_length() -> None:
    early = [(feed, feed * 100) for feed in range(4)]
    assert burst_at(ValueBursts(), *early, (4, 600)) == []
    later = [(feed, 1 + feed * 100) for feed in range(4)]
    assert burst_at(ValueBursts(), *later, (4, 600)) == [600]


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


def test_values_that_cannot_be_stored_never_burst() -> None:
    values = ValueBursts()
    bad = [
        ObservedIndicator("carrier-pigeon", "coo"),
        ObservedIndicator("url", "x\0"),
        ObservedIndicator("url", ""),
        ObservedIndicator("url", "x" * 9000),
    ]
    for feed in range(6):
        refused = Chunk(FeedIdentity(UUID(int=feed), "f\0eed"), "", bad)
        assert values.add("acme", refused, START) == []
    assert all(burst_at(values, (feed, 0.0)) == [] for feed in range(4))
    good = [ObservedIndicator("ipv4-addr", "192.0.2.1")]
    (burst,) = values.add("acme", Chunk(FeedIdentity(UUID(int=7), "a\0b"), "", good), START)
    assert burst.feeds[0] == "ab"


sightings = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 2), st.integers(0, 2 * WINDOW), st.integers(0, WINDOW)
    ),
    max_size=80,
)


def model(events: list[tuple[int, int, float]], feeds: int = 3) -> list[tuple[int, float]]:
    """Bursts by the definition: every event is compared with all sightings before it."""
    sightings: list[tuple[int, int, float]] = []
    high: dict[int, float] = {}
    bursts = []
    for feed, value, at in events:
        sightings.append((feed, value, at))
        latest = max(time for _, seen, time in sightings if seen == value)
        around = {by for by, seen, time in sightings if seen == value and latest - WINDOW < time}
        if len(around) < feeds:
            continue
        if value not in high or latest - high[value] >= WINDOW:
            bursts.append((value, latest))
        high[value] = latest
    return bursts


@given(sightings)
def test_bursts_are_those_of_the_model(raw: list[tuple[int, int, int, int]]) -> None:
    """Events come up to a window late; pauses may be longer than any generation."""
    events = []
    now = START
    for feed, value, pause, late in raw:
        now += pause
        events.append((feed, value, now - late))
    values = ValueBursts(origins=3)
    bursts = []
    for feed, value, at in events:
        completed = values.add("acme", chunk(feed, str(value)), at)
        # Other values keep the generations turning.
        values.add("acme", chunk(99, f"other {at}"), at)
        bursts += [(value, burst.window_start) for burst in completed]
    assert bursts == [(value, latest // WINDOW * WINDOW) for value, latest in model(events)]


def test_a_million_values_take_about_a_hundred_bytes_each() -> None:
    values = ValueBursts()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(200):
        values.add("acme", chunk(1, *(f"{number}.{host}" for host in range(1000))), START)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(values) == 200_000
    assert used / 200_000 < 130


def test_the_number_of_values_is_bounded() -> None:
    values = ValueBursts(keys=1000)
    for number in range(50):
        values.add("acme", chunk(1, *(f"{number}.{host}" for host in range(100))), START + number)
    assert len(values) <= 2 * 1100
    values.add("acme", chunk(1, "x"), START + DAY)
    assert len(values) == 1
