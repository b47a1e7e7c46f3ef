"""A STIX 2.1 bundle of 100,000 indicators: parsing compared to stix2, and ingest end to end.

In the same run stix2 parses a sample of the same objects, one by one as its parser of bundles does;
the time is scaled to the whole bundle.
"""

import argparse
import io
import statistics
import time

import msgspec
import stix2

from bench._figures import api_client, report_figures, throwaway_stack
from bench.ingest_million import addresses
from sentineliq.local.stack import Stack
from services.feeds.formats.registry import format_named

MIN_RATIO = 50.0
MIN_COMMITTED = 20_000
SAMPLED = 2_000
REPEATS = 5


def bundle(count: int) -> list[dict[str, object]]:
    """Indicators as feeds send them: with a pattern, labels, confidence and validity."""
    return [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--{number:08x}-0000-4000-8000-000000000000",
            "created": "2026-11-01T10:00:00.000Z",
            "modified": "2026-11-01T10:00:00.000Z",
            "name": f"C2 server {value}",
            "indicator_types": ["malicious-activity"],
            "labels": ["c2"],
            "pattern": f"[ipv4-addr:value = '{value}']",
            "pattern_type": "stix",
            "valid_from": "2026-11-01T10:00:00Z",
            "valid_until": "2027-11-01T10:00:00Z",
            "confidence": 80,
        }
        for number, value in enumerate(addresses(count))
    ]


def time_our_parser(data: bytes) -> float:
    """Seconds to parse a bundle."""
    stix = format_named("stix")
    started = time.perf_counter()
    count = sum(len(batch.indicators) for batch in stix.parse(io.BytesIO(data), {}))
    seconds = time.perf_counter() - started
    assert count
    return seconds


def time_stix2(objects: list[dict[str, object]]) -> float:
    """Seconds that stix2 needs for some objects."""
    started = time.perf_counter()
    for stix_object in objects:
        stix2.parse(stix_object)
    return time.perf_counter() - started


def ingest(stack: Stack, data: bytes, count: int) -> float:
    """Seconds until every observable of the bundle is committed."""
    feeds = api_client(stack, "feeds")
    observables = api_client(stack, "observables")
    started = time.perf_counter()
    answer = feeds.post("/v1/ingest", params={"name": "bundle", "format": "stix"}, content=data)
    run = answer.raise_for_status().json()
    while observables.get(f"/v1/runs/{run['id']}").json()["received"] < count:
        time.sleep(0.1)
    return time.perf_counter() - started


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    count = parser.parse_args().objects
    objects = bundle(count)
    data = msgspec.json.encode(
        {"type": "bundle", "id": f"bundle--{1:08x}-0000-4000-8000-000000000000", "objects": objects}
    )
    our_times = []
    stix2_times = []
    for number in range(REPEATS):
        sample = objects[number * SAMPLED :][:SAMPLED]
        stix2_times.append(time_stix2(sample) * count / SAMPLED)
        our_times.append(time_our_parser(data))
    our_time = statistics.median(our_times)
    ratio = statistics.median(stix2_times) / our_time
    with throwaway_stack() as (stack, _):
        committed = ingest(stack, data, count)
    figures = {
        "objects": count,
        "parsed by us (s)": our_time,
        "objects/s, parsing": count / our_time,
        "parsed by stix2, scaled (s)": statistics.median(stix2_times),
        "times as fast as stix2": ratio,
        "committed end to end (s)": committed,
        "objects/s, committed": count / committed,
    }
    missed = []
    if ratio < MIN_RATIO:
        missed.append(f"only {ratio:.0f} times as fast as stix2")
    if count / committed < MIN_COMMITTED:
        missed.append(f"{count / committed:,.0f} objects/s committed")
    report_figures("stix_bundle", figures, missed if count >= 100_000 else [])


if __name__ == "__main__":
    main()
