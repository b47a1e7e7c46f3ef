"""Soak: mixed load and a fault every ten seconds, `python -m tests.faults.soak --minutes 30`.

The seed decides which faults come in which order. Memory, descriptors, connections, outbox and
unapplied records are sampled; at the end the oracle counts. The exit code is 1 when a promise was
not kept or a bound was passed.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psutil

from sentineliq.local.orphans import running_processes
from tests.faults import document
from tests.faults.installation import Installation, temporary_installation
from tests.faults.load import Load, Probe, new_values
from tests.faults.oracle import Oracle
from tests.faults.process_faults import kill, kill_pool_children
from tests.faults.scenario import pause
from tests.faults.server_faults import outage
from tests.faults.servers import SERVERS

_EVERY = 10.0
_RECOVERY_LIMIT = 240.0
_WARM_UP_SHARE = 0.25
_MEMORY_GROWTH_MB = 400
_MOST_CONNECTIONS = 140
_MOST_OUTBOX = 20_000
_DESCRIPTOR_GROWTH = 200
_SERVICES = (
    "feeds-api",
    "feeds-worker",
    "feeds-consumer",
    "observables-api",
    "observables-worker",
    "observables-consumer",
    "observables-trends",
    "notifications-api",
    "notifications-worker",
    "notifications-consumer",
    "scheduler-worker",
    "scheduler-consumer",
    "scheduler-beat",
)
_POOLS = ("feeds-worker", "observables-worker", "notifications-worker")
Action = Callable[[Installation, str], None]


@dataclass(frozen=True)
class SoakSample:
    """What the installation uses at a moment.

    Attributes:
        memory_mb: unshared memory of all processes of the services.
        descriptors: open files and sockets of them.
        connections: sessions of PostgreSQL.
        outbox: events that wait for Kafka.
    """

    memory_mb: int
    descriptors: int
    connections: int
    outbox: int


def _freeze(installation: Installation, name: str) -> None:
    group = installation.pid(name)
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGSTOP)
        pause(4)
        os.killpg(group, signal.SIGCONT)


def _terminate(installation: Installation, name: str) -> None:
    os.kill(installation.pid(name), signal.SIGTERM)


def _kill_children(installation: Installation, name: str) -> None:
    kill_pool_children(installation, name)


def _outage(installation: Installation, name: str) -> None:
    with outage(installation, name):
        pause(3)


def _half_open(installation: Installation, name: str) -> None:
    proxy = installation.stack.switches[name].proxy
    proxy.freeze()
    pause(4)
    proxy.cut()
    proxy.thaw()


def _slow(installation: Installation, name: str) -> None:
    proxy = installation.stack.switches[name].proxy
    proxy.delay(0.05)
    pause(4)
    proxy.delay(0)


def _cut(installation: Installation, name: str) -> None:
    installation.stack.switches[name].proxy.cut()


def _flush(installation: Installation, _: str) -> None:
    with suppress(OSError):  # it may be starting
        installation.valkey("FLUSHALL")


_FAULTS: tuple[tuple[str, Action, tuple[str, ...]], ...] = (
    ("kill", kill, _SERVICES),
    ("terminate", _terminate, _SERVICES),
    ("freeze", _freeze, _SERVICES),
    ("kill pool children of", _kill_children, _POOLS),
    ("outage of", _outage, SERVERS),
    ("half-open links to", _half_open, SERVERS),
    ("slow links to", _slow, SERVERS),
    ("cut links to", _cut, SERVERS),
    ("flush", _flush, ("valkey",)),
)


def faults(seed: int) -> Iterator[tuple[str, Action, str]]:
    """The faults of a seed, without an end: what it is, the action and its target."""
    source = random.Random(seed)  # noqa: S311  # a sequence that can be repeated
    while True:
        name, action, targets = source.choice(_FAULTS)
        yield name, action, source.choice(targets)


def sample(installation: Installation) -> SoakSample:
    """Measure now."""
    memory = 0
    descriptors = 0
    for name, pid in running_processes(installation.stack.data_dir).items():
        if name in SERVERS:
            continue
        with suppress(psutil.Error):
            parent = psutil.Process(pid)
            for process in (parent, *parent.children(recursive=True)):
                memory += process.memory_full_info().uss
                descriptors += process.num_fds()
    waiting = sum(count for name, count in installation.rows("stuck") if name.startswith("outbox"))
    connections = installation.sql("SELECT count(*) FROM pg_stat_activity")[0][0]
    return SoakSample(memory >> 20, descriptors, int(connections), int(waiting))


def passed_bounds(samples: list[SoakSample]) -> list[str]:
    """The bounds that samples pass, after a quarter of the time for warming up."""
    warm = samples[int(len(samples) * _WARM_UP_SHARE) :]
    quarter = max(1, len(warm) // 4)
    first = warm[:quarter]
    last = warm[-quarter:]
    bad = []
    growth = min(each.memory_mb for each in last) - max(each.memory_mb for each in first)
    if growth > _MEMORY_GROWTH_MB:
        bad.append(f"memory grew by {growth} MB")
    growth = min(each.descriptors for each in last) - max(each.descriptors for each in first)
    if growth > _DESCRIPTOR_GROWTH:
        bad.append(f"descriptors grew by {growth}")
    if (most := max(each.connections for each in samples)) > _MOST_CONNECTIONS:
        bad.append(f"{most} connections to PostgreSQL")
    if (most := max(each.outbox for each in samples)) > _MOST_OUTBOX:
        bad.append(f"{most} events in outboxes")
    return bad


def _churn(load: Load, feed: str, number: int) -> None:
    """Change the served list and fetch it, so that values come and go."""
    served = load.served(feed)
    if number % 3 == 0:
        served.lines = served.lines[20:] + new_values(20)
        with suppress(AssertionError):
            load.fetch(feed)


def run(installation: Installation, seconds: float, seed: int) -> tuple[list[str], list[str]]:
    """Load and faults for a while; what is not as promised, and the report's lines."""
    oracle = Oracle(installation)
    load = Load(installation, "soak")
    feed = load.serve(400, seconds=1)
    samples = [sample(installation)]
    end = time.monotonic() + seconds
    count = 0
    with load.flowing():
        for number, (name, action, target) in enumerate(faults(seed)):
            started = time.monotonic()
            if started >= end:
                break
            print(f"{number}: {name} {target}", flush=True)
            _churn(load, feed, number)
            action(installation, target)
            samples.append(sample(installation))
            print(f"   {samples[-1]}", flush=True)
            count += 1
            time.sleep(max(0.0, started + _EVERY - time.monotonic()))
    bad = passed_bounds(samples)
    recovery = None
    try:
        load.fetch(feed)
        recovery = round(Probe(installation).seconds(time.monotonic(), _RECOVERY_LIMIT), 1)
    except AssertionError as error:
        bad.append(f"new work did not go all the way: {error}")  # what is lost still counts
    figures = oracle.settle(load, seconds=180)
    figures.recovery_s = recovery
    print(figures, oracle.details(load) if not figures.is_kept else "", flush=True)
    if not figures.is_kept:
        bad.append(str(figures))
    length = f"{seconds / 60:g} minutes with seed {seed}, {count} faults"
    report = [
        f"{length}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {figures}.",
        "",
        "| | at the start | most | at the end |",
        "|---|---|---|---|",
    ]
    report += [_line(name, samples) for name in asdict(samples[0])]
    return bad, report


def _line(name: str, samples: list[SoakSample]) -> str:
    values = [asdict(each)[name] for each in samples]
    return f"| {name} | {values[0]} | {max(values)} | {values[-1]} |"


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    arguments = parser.parse_args()
    with temporary_installation() as installation:
        bad, report = run(installation, arguments.minutes * 60, arguments.seed)
    print("\n".join(report), *bad, sep="\n", flush=True)
    if arguments.write:
        document.write(document.load_figures() | {"soak": report})
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
