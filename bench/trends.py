"""Trends on one core: indicators/s from the bytes of a chunk through decoding and counting.

Beside it in the same run: msgspec decoding the whole event alone, which is the limit of whoever reads the topic, and a
stream of one event per indicator as stream processors are mostly written, with json and a set per value.
"""

import argparse
import json
import statistics
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from bench._figures import keep
from bench.ingest_million import addresses
from services.observables.trends.analysis import Analysis, PartitionSpan, ReplayPlan
from services.observables.trends.bursts import FEEDS
from services.observables.trends.trend import WINDOW
from shared.events import ConsumedRecord, Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved

FLOOR = 60_000
REPEATS = 5
FEED_COUNT = 8
START = 1_800_000_000.0
_PLACE = (OBSERVED.name, 0)


def log_of(indicators: int) -> list[ConsumedRecord]:
    """Chunks of 1,000 from eight feeds: half of what a feed lists, others list as well; one in five has a family."""
    values = addresses(indicators // 2)
    families = [f"Family {number}" for number in range(200)]
    records = []
    for number in range(indicators // 1000):
        feed = number % FEED_COUNT
        from_ = (number // FEED_COUNT * 500) % (len(values) - 1000)
        own, common = (
            values[-500 - number * 500 % (len(values) // 2) :][:500],
            values[from_ : from_ + 500],
        )
        seen = [
            Indicator("ipv4-addr", value, malware=families[place % 200] if place % 5 == 0 else None)
            for place, value in enumerate([*own, *common])
        ]
        at = datetime.fromtimestamp(START + number / 10, UTC).isoformat()
        said = IndicatorsObserved(
            FeedRef(UUID(int=feed), f"feed {feed}"), uuid4(), 0, number, at, 80, ("c2",), seen
        )
        event = Event(OBSERVED, said, "public", "/services/feeds", b"0")
        records.append(
            ConsumedRecord(OBSERVED.name, 0, number, b"0", event.payload(), event.headers())
        )
    return records


def ours(records: list[ConsumedRecord]) -> int:
    """Decode and count whole chunks; how many bursts there are."""
    analysis = Analysis(ReplayPlan({_PLACE: PartitionSpan(0, 0, len(records))}))
    bursts = 0
    for number, record in enumerate(records):
        now = START + number / 10
        bursts += len(analysis.handle(record, now))
        analysis.tick(now, {})
    return bursts


def decoding(records: list[ConsumedRecord]) -> int:
    """Decode whole events and do nothing."""
    decoder = msgspec.json.Decoder(IndicatorsObserved)
    for record in records:
        decoder.decode(record.value)
    return 1


def one_by_one(messages: list[bytes]) -> int:
    """One event per indicator: decode it, note its feed, forget what is too old, look how many there are."""
    sightings: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    bursts = 0
    for message in messages:
        event = json.loads(message)
        at = datetime.fromisoformat(event["observed_at"]).timestamp()
        mine = sightings[event["type"], event["value"]]
        mine[event["feed"]["id"]] = at
        recent = {feed for feed, then in mine.items() if then > at - WINDOW}
        bursts += len(recent) == FEEDS
    return bursts


def singly(records: list[ConsumedRecord], limit: int) -> list[bytes]:
    """The same log as one event per indicator."""
    messages: list[bytes] = []
    for record in records:
        whole = msgspec.json.decode(record.value, type=IndicatorsObserved)
        frame = {"feed": whole.feed, "observed_at": whole.observed_at, "run_id": whole.run_id}
        messages += [
            msgspec.json.encode({**frame, "type": one.type, "value": one.value})
            for one in whole.seen
        ]
        if len(messages) >= limit:
            break
    return messages[:limit]


def rate(count: int, work: Callable[[], int]) -> float:
    """Indicators per second, the median of some repeats."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        assert work(), "nothing was found"
        seconds.append(time.perf_counter() - started)
    return count / statistics.median(seconds)


def bytes_per_value(count: int) -> float:
    """Memory of a value that one feed alone has seen."""
    records = log_of(count)[::FEED_COUNT]
    analysis = Analysis(ReplayPlan({_PLACE: PartitionSpan(0, 0, len(records))}))
    decoder = msgspec.json.Decoder(IndicatorsObserved)
    distinct = {one.value for record in records for one in decoder.decode(record.value).seen}
    tracemalloc.start()
    for record in records:
        analysis.handle(record, START)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / len(distinct)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indicators", type=int, default=1_000_000)
    count = parser.parse_args().indicators
    records = log_of(count)
    single = singly(records, min(count, 200_000))
    measured = rate(count, lambda: ours(records))
    figures = {
        "indicators": count,
        "indicators/s, decoded and counted": measured,
        "indicators/s, decoded only (the limit)": rate(count, lambda: decoding(records)),
        "indicators/s, one event each": rate(len(single), lambda: one_by_one(single)),
        "bursts": ours(records),
        "bytes per value kept": bytes_per_value(min(count, 200_000)),
    }
    keep("trends", figures, [f"{measured:,.0f} indicators/s"] if measured < FLOOR else [])


if __name__ == "__main__":
    main()
