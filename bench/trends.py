"""Trends on one core: indicators/s from the bytes of a chunk through decoding and counting.

Beside it in the same run: msgspec decoding the whole event alone, the limit of any reader of the
topic; and a stream of one event for each indicator, with json and a dictionary for each value, as
stream processors are usually written.
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

from bench._figures import report_figures
from bench.ingest_million import addresses
from services.observables.trends.analysis import Analysis, PartitionSpan, ReplayPlan
from services.observables.trends.bursts import ORIGINS
from services.observables.trends.trend import WINDOW
from shared.events import ConsumedRecord, Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved

MIN_RATE = 60_000
REPEATS = 5
FEED_COUNT = 8
START = 1_800_000_000.0
_PLACE = (OBSERVED.name, 0)


def event_log(indicators: int) -> list[ConsumedRecord]:
    """Chunks of 1,000 indicators from eight feeds.

    Half of the indicators of a feed are in other feeds too; one in five has a malware family.
    """
    values = addresses(indicators // 2)
    families = [f"Family {number}" for number in range(200)]
    records = []
    for number in range(indicators // 1000):
        feed = number % FEED_COUNT
        own = values[-500 - number * 500 % (len(values) // 2) :][:500]
        start = (number // FEED_COUNT * 500) % (len(values) - 1000)
        common = values[start : start + 500]
        seen = [
            Indicator("ipv4-addr", value, malware=families[place % 200] if place % 5 == 0 else None)
            for place, value in enumerate([*own, *common])
        ]
        at = datetime.fromtimestamp(START + number / 10, UTC).isoformat()
        chunk = IndicatorsObserved(
            FeedRef(UUID(int=feed), f"feed {feed}"), uuid4(), 0, number, at, 80, ("c2",), seen
        )
        event = Event(OBSERVED, chunk, "public", "/services/feeds", b"0")
        records.append(
            ConsumedRecord(OBSERVED.name, 0, number, b"0", event.payload(), event.headers())
        )
    return records


def count_chunks(records: list[ConsumedRecord]) -> int:
    """Decode and count whole chunks; the number of bursts."""
    analysis = Analysis(ReplayPlan({_PLACE: PartitionSpan(0, 0, len(records))}))
    bursts = 0
    for number, record in enumerate(records):
        now = START + number / 10
        bursts += len(analysis.handle(record, now))
        analysis.tick(now, {})
    return bursts


def decode_chunks(records: list[ConsumedRecord]) -> int:
    """Decode whole chunks only."""
    decoder = msgspec.json.Decoder(IndicatorsObserved)
    for record in records:
        decoder.decode(record.value)
    return 1


def count_messages(messages: list[bytes]) -> int:
    """Decode and count one event for each indicator; the number of bursts.

    For each value, a dictionary holds the last time of each feed; old times do not count.
    """
    sightings: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    bursts = 0
    for message in messages:
        event = json.loads(message)
        at = datetime.fromisoformat(event["observed_at"]).timestamp()
        times = sightings[event["type"], event["value"]]
        times[event["feed"]["id"]] = at
        recent = {feed for feed, last in times.items() if last > at - WINDOW}
        bursts += len(recent) == ORIGINS
    return bursts


def single_events(records: list[ConsumedRecord], limit: int) -> list[bytes]:
    """The same log with one event for each indicator."""
    messages: list[bytes] = []
    for record in records:
        whole = msgspec.json.decode(record.value, type=IndicatorsObserved)
        frame = {"feed": whole.feed, "observed_at": whole.observed_at, "run_id": whole.run_id}
        messages += [
            msgspec.json.encode({**frame, "type": indicator.type, "value": indicator.value})
            for indicator in whole.seen
        ]
        if len(messages) >= limit:
            break
    return messages[:limit]


def measure_rate(count: int, work: Callable[[], int]) -> float:
    """Indicators per second, by the median of the repeats."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        assert work(), "no burst"
        seconds.append(time.perf_counter() - started)
    return count / statistics.median(seconds)


def bytes_per_value(count: int) -> float:
    """Memory of a value in one feed."""
    records = event_log(count)[::FEED_COUNT]
    analysis = Analysis(ReplayPlan({_PLACE: PartitionSpan(0, 0, len(records))}))
    decoder = msgspec.json.Decoder(IndicatorsObserved)
    distinct = {
        indicator.value for record in records for indicator in decoder.decode(record.value).seen
    }
    tracemalloc.start()
    for record in records:
        analysis.handle(record, START)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / len(distinct)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indicators", type=int, default=1_000_000)
    count = parser.parse_args().indicators
    records = event_log(count)
    single = single_events(records, min(count, 200_000))
    measured = measure_rate(count, lambda: count_chunks(records))
    figures = {
        "indicators": count,
        "indicators/s, decoded and counted": measured,
        "indicators/s, decoded only (the limit)": measure_rate(
            count, lambda: decode_chunks(records)
        ),
        "indicators/s, one event each": measure_rate(len(single), lambda: count_messages(single)),
        "bursts": count_chunks(records),
        "bytes per value kept": bytes_per_value(min(count, 200_000)),
    }
    missed = [f"{measured:,.0f} indicators/s"] if measured < MIN_RATE else []
    report_figures("trends", figures, missed)


if __name__ == "__main__":
    main()
