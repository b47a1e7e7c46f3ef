"""The share that offline enrichment adds to the ingest of a million mixed observables.

The same observables go through the consumer's path (read, plan, COPY, outbox, commit) into two
tenants of one database, batch by batch in turn. Every offline enricher describes those of one
tenant, with all warning lists and tables of networks of usual size; none describes those of the
other. The ratio is that of the medians, so that a disturbance of one batch does not count.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID, uuid4

from bench._figures import report_figures
from bench.lookup import values
from sentineliq.local.stack import Infrastructure
from services.observables.reference import context, networks
from services.observables.reference.context import OfflineEnrichers
from services.observables.reference.enrichers.registry import create_enrichers
from services.observables.reference.warning_lists import bundled, pack
from services.observables.store.handlers import handle_observed
from shared.database import Database
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.migrations import migrate
from shared.runtime.process import tune_garbage_collector
from shared.stix import bucket
from shared.stix.ids import observable_id

MAX_ADDED = 0.30
MAX_MEMORY_MIB = 250.0
_BATCH = 10_000
_RANGES = 400_000
_MEMORY_SCRIPT = """
import pathlib, psutil, sys
from services.observables.reference.context import OfflineEnrichers
from services.observables.reference.enrichers.registry import create_enrichers
folder = pathlib.Path(sys.argv[1])
blobs = {name: (folder / name).read_bytes() for name in ("warninglists", "networks")}
offline = OfflineEnrichers(create_enrichers(blobs))
offline.describe("ipv4-addr", ["8.8.8.8"] * 10)
offline.describe("domain-name", ["google.com"] * 10)
offline.describe("url", ["http://a.com/"] * 10)
print(psutil.Process().memory_info().rss / 2**20)
"""


def network_table() -> bytes:
    """As many ranges of addresses with AS and country as iptoasn.com lists; deterministic."""
    chance = random.Random(20261125)  # noqa: S311  # test data
    starts = sorted(chance.sample(range(0x01000000 >> 8, 0xDF000000 >> 8), _RANGES))
    lines = []
    for start, end in zip(starts, [*starts[1:], 0xDF000000 >> 8], strict=True):
        first = ip_address(start << 8)
        last = ip_address((end << 8) - 1)
        asn = min(75_000, int(chance.paretovariate(0.3)))  # few announce much, many announce little
        country = chance.choice(("US", "DE", "CN", "BR", "NL"))
        lines.append(f"{first}\t{last}\t{asn}\t{country}\tAS-{asn}")
    return "\n".join(lines).encode()


def mixed(count: int) -> list[Indicator]:
    """Half addresses, the rest names, URLs and hashes; one in five URLs at a popular site."""
    chance = random.Random(20261126)  # noqa: S311  # test data
    popular = (
        "github.com",
        "drive.google.com",
        "cdn.discordapp.com",
        "pastebin.com",
        "raw.githubusercontent.com",
    )
    indicators = values(count)
    for place, indicator in enumerate(indicators):
        if indicator.type == "url" and chance.random() < 0.2:
            indicators[place] = Indicator(
                "url", f"https://{chance.choice(popular)}/{place:x}/{chance.getrandbits(48):x}"
            )
    return indicators


def events(
    indicators: list[Indicator], tenant: str, number: int
) -> list[Event[IndicatorsObserved]]:
    """A batch as the feeds service publishes it."""
    feed = FeedRef(UUID(int=1), "list", 80, kind="snapshot")
    now = datetime.now(UTC).isoformat()
    run = uuid4()
    by_bucket: dict[int, list[Indicator]] = {}
    for indicator in indicators:
        place = bucket(observable_id(indicator.type, indicator.value))
        by_bucket.setdefault(place, []).append(indicator)
    return [
        Event(
            OBSERVED,
            IndicatorsObserved(feed, run, place, number, now, 90, ("c2",), seen),
            tenant,
            "/bench",
        )
        for place, seen in by_bucket.items()
    ]


@contextmanager
def database() -> Iterator[Database]:
    """Run a throw-away server and yield the service's database on it."""
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as folder:
        Path(folder).chmod(0o755)
        with Infrastructure(Path(folder)).running() as parts:
            url = parts.environment["DATABASE_URL"]
            migrate("observables", url)
            observables = Database(url, "observables")
            yield observables
            observables.close()


def ingest(
    observables: Database, indicators: list[Indicator], sides: dict[str, OfflineEnrichers]
) -> dict[str, list[float]]:
    """Seconds of each batch on each side; the sides take turns in going first."""
    seconds: dict[str, list[float]] = {tenant: [] for tenant in sides}
    for number, start in enumerate(range(0, len(indicators), _BATCH)):
        for tenant in sorted(sides, reverse=number % 2 == 1):
            batch = events(indicators[start : start + _BATCH], tenant, number)
            with context.use_enrichers(sides[tenant]):
                started = time.perf_counter()
                with observables.transaction(tenant) as session:
                    handle_observed(session, batch)
                seconds[tenant].append(time.perf_counter() - started)
    return seconds


def description_costs(offline: OfflineEnrichers, indicators: list[Indicator]) -> dict[str, float]:
    """Microseconds a value for each type, without a database."""
    by_type: dict[str, list[str]] = {}
    for indicator in indicators[:100_000]:
        by_type.setdefault(indicator.type, []).append(indicator.value)
    figures = {}
    for type_, texts in sorted(by_type.items()):
        cost = []
        for start in range(0, len(texts) - 999, 1_000):
            started = time.perf_counter()
            offline.describe(type_, texts[start : start + 1_000])
            cost.append((time.perf_counter() - started) * 1e3)
        figures[f"{type_} (us a value)"] = statistics.median(cost)
    return figures


def process_memory(blobs: dict[str, bytes]) -> float:
    """MiB of a process with every list."""
    with tempfile.TemporaryDirectory() as folder:
        for name, blob in blobs.items():
            Path(folder, name).write_bytes(blob)
        return float(subprocess.check_output([sys.executable, "-c", _MEMORY_SCRIPT, folder]))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observables", type=int, default=1_000_000)
    count = parser.parse_args().observables
    blobs = {
        "warninglists": pack(bundled()),
        "networks": networks.pack([("ip2asn.tsv", network_table())]),
    }
    offline = OfflineEnrichers(create_enrichers(blobs))
    indicators = mixed(count)
    figures = {"observables": float(count), **description_costs(offline, indicators)}
    tune_garbage_collector()  # as the consumer does
    sides = {"described": offline, "plain": OfflineEnrichers(())}
    with database() as observables:
        seconds = ingest(observables, indicators, sides)
    described = statistics.median(seconds["described"])
    plain = statistics.median(seconds["plain"])
    memory = process_memory(blobs)
    figures |= {
        "observables/s, described": _BATCH / described,
        "observables/s, not described": _BATCH / plain,
        "added (share)": described / plain - 1,
        "added (us a value)": (described - plain) / _BATCH * 1e6,
        "memory of a process with all lists (MiB)": memory,
    }
    missed = []
    if figures["added (share)"] > MAX_ADDED:
        missed.append(f"enrichment adds more than {MAX_ADDED:.0%}")
    if memory > MAX_MEMORY_MIB:
        missed.append(f"more than {MAX_MEMORY_MIB} MiB")
    report_figures("enrichment", figures, missed)


if __name__ == "__main__":
    main()
