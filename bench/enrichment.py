"""What offline enrichment adds to the ingest of a million mixed observables.

The same observables go through the consumer's path (read, plan, COPY, outbox, commit) into two tenants of one
database, a batch here and the same batch there in turn: one described by every offline enricher with all warning lists
and tables of networks of usual size, the other by none. The ratio is that of the medians, so that a disturbance of one
batch, or of a minute, does not count.
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
from pathlib import Path
from uuid import UUID, uuid4

from bench._figures import keep
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

ADDED, MEMORY_MIB = 0.30, 250.0
_BATCH = 10_000
_RANGES = 400_000
_HOLDER = """
import pathlib, psutil, sys
from services.observables.reference.context import OfflineEnrichers
from services.observables.reference.enrichers.registry import create_enrichers
names = ("warninglists", "networks")
offline = OfflineEnrichers(create_enrichers({name: pathlib.Path(sys.argv[1], name).read_bytes() for name in names}))
for kind, value in (("ipv4-addr", "8.8.8.8"), ("domain-name", "google.com"), ("url", "http://a.com/")):
    offline.describe(kind, [value] * 10)
print(psutil.Process().memory_info().rss / 2**20)
"""


def table() -> bytes:
    """Ranges of addresses with their AS and country, as many as iptoasn.com lists, the same ones every time."""
    chance = random.Random(20261125)  # noqa: S311  # test data
    starts = sorted(chance.sample(range(0x01000000 >> 8, 0xDF000000 >> 8), _RANGES))
    lines = []
    for start, end in zip(starts, [*starts[1:], 0xDF000000 >> 8], strict=True):
        first, last = (
            f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
            for n in (start << 8, (end << 8) - 1)
        )
        asn = min(75_000, int(chance.paretovariate(0.3)))  # few announce much, many announce little
        lines.append(
            f"{first}\t{last}\t{asn}\t{chance.choice(('US', 'DE', 'CN', 'BR', 'NL'))}\tAS-{asn}"
        )
    return "\n".join(lines).encode()


def mixed(count: int) -> list[Indicator]:
    """Half addresses, the rest names, URLs and hashes; a tenth of names and URLs at sites that everybody uses."""
    chance = random.Random(20261126)  # noqa: S311  # test data
    used = (
        "github.com",
        "drive.google.com",
        "cdn.discordapp.com",
        "pastebin.com",
        "raw.githubusercontent.com",
    )
    made = values(count)
    for place, one in enumerate(made):
        if one.type == "url" and chance.random() < 0.2:
            made[place] = Indicator(
                "url", f"https://{chance.choice(used)}/{place:x}/{chance.getrandbits(48):x}"
            )
    return made


def events(
    indicators: list[Indicator], tenant: str, number: int
) -> list[Event[IndicatorsObserved]]:
    """A batch as the feeds service publishes it."""
    feed = FeedRef(UUID(int=1), "list", 80, kind="snapshot")
    now, run, by_bucket = datetime.now(UTC).isoformat(), uuid4(), dict[int, list[Indicator]]()
    for one in indicators:
        by_bucket.setdefault(bucket(observable_id(one.type, one.value)), []).append(one)
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
    """The service's own database on a throw-away server."""
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as folder:
        Path(folder).chmod(0o755)
        with Infrastructure(Path(folder)).running() as parts:
            url = parts.environment["DATABASE_URL"]
            migrate("observables", url)
            own = Database(url, "observables")
            yield own
            own.close()


def ingest(
    own: Database, indicators: list[Indicator], sides: dict[str, OfflineEnrichers]
) -> dict[str, list[float]]:
    """Seconds of each batch on each side; who comes first changes from batch to batch."""
    took: dict[str, list[float]] = {tenant: [] for tenant in sides}
    for number, start in enumerate(range(0, len(indicators), _BATCH)):
        for tenant in sorted(sides, reverse=number % 2 == 1):
            batch = events(indicators[start : start + _BATCH], tenant, number)
            with context.use_enrichers(sides[tenant]):
                started = time.perf_counter()
                with own.transaction(tenant) as session:
                    handle_observed(session, batch)
                took[tenant].append(time.perf_counter() - started)
    return took


def alone(offline: OfflineEnrichers, indicators: list[Indicator]) -> dict[str, float]:
    """Microseconds a value for each type, without any database."""
    by_type: dict[str, list[str]] = {}
    for one in indicators[:100_000]:
        by_type.setdefault(one.type, []).append(one.value)
    figures = {}
    for type_, texts in sorted(by_type.items()):
        cost = []
        for start in range(0, len(texts) - 999, 1_000):
            started = time.perf_counter()
            offline.describe(type_, texts[start : start + 1_000])
            cost.append((time.perf_counter() - started) * 1e3)
        figures[f"{type_} (us a value)"] = statistics.median(cost)
    return figures


def memory(blobs: dict[str, bytes]) -> float:
    """MiB of a process that holds every list."""
    with tempfile.TemporaryDirectory() as folder:
        for name, blob in blobs.items():
            Path(folder, name).write_bytes(blob)
        return float(subprocess.check_output([sys.executable, "-c", _HOLDER, folder]))


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observables", type=int, default=1_000_000)
    wanted = parser.parse_args().observables
    blobs = {"warninglists": pack(bundled()), "networks": networks.pack([("ip2asn.tsv", table())])}
    offline, indicators = OfflineEnrichers(create_enrichers(blobs)), mixed(wanted)
    figures = {"observables": float(wanted), **alone(offline, indicators)}
    tune_garbage_collector()  # as the consumer does
    with database() as own:
        took = ingest(own, indicators, {"described": offline, "plain": OfflineEnrichers(())})
    described, plain = (statistics.median(took[side]) for side in ("described", "plain"))
    figures |= {
        "observables/s, described": _BATCH / described,
        "observables/s, not described": _BATCH / plain,
        "added (share)": described / plain - 1,
        "added (us a value)": (described - plain) / _BATCH * 1e6,
        "memory of a process with all lists (MiB)": memory(blobs),
    }
    missed = [] if figures["added (share)"] <= ADDED else [f"enrichment adds more than {ADDED:.0%}"]
    held = figures["memory of a process with all lists (MiB)"]
    keep(
        "enrichment",
        figures,
        missed + ([] if held <= MEMORY_MIB else [f"more than {MEMORY_MIB} MiB"]),
    )


if __name__ == "__main__":
    main()
