"""Calls to providers: how many a worker makes and commits, and what trouble does to the others.

In the same run an asyncio client calls the same provider as often at once, and stores nothing.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from bench._enrichment_worker import probes
from bench._figures import report_figures
from sentineliq.local.ports import free_ports
from sentineliq.local.stack import Infrastructure
from services.observables.enrichment.queues.estimates import queue_states
from services.observables.enrichment.queues.models import BACKGROUND, JobRequest, QueueIdentity
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.requests import service
from services.observables.enrichment.requests.service import EnrichmentRequest
from services.observables.enrichment.settings.access import queue_id
from services.observables.providers import registry
from shared.database import PLATFORM, PUBLIC, Database
from shared.http import GuardedClient
from shared.migrations import migrate
from shared.stix import detect
from shared.stix.ids import observable_uuid

CALLS = 500
INTERACTIVE_SECONDS = 2.0
TROUBLE = 0.9
ESTIMATE = 0.2
_AT_ONCE = 100


class Bench:
    """A database with jobs, providers, and workers that call them."""

    def __init__(self, url: str, port: int) -> None:
        self.url = url
        self.port = port
        self.own = Database(url, "observables")
        self._next = 0

    def ask(self, names: Sequence[str], count: int) -> None:
        """Store background jobs for each enricher, about addresses without an answer."""
        first = int(IPv4Address("23.0.0.0")) + self._next
        self._next += count
        with self.own.transaction("acme") as session:
            queues = {name: queue_id(name, PUBLIC, None) for name in names}
            identities = [
                QueueIdentity(queue, PUBLIC, name, None) for name, queue in queues.items()
            ]
            provider_queues.ensure(session, "observables", "acme", identities)
            for start in range(0, count, 10_000):
                values = [
                    str(IPv4Address(first + number))
                    for number in range(start, min(count, start + 10_000))
                ]
                ids = {
                    value: str(UUID(bytes=observable_uuid("ipv4-addr", value))) for value in values
                }
                for name, queue in queues.items():
                    requests = [
                        JobRequest(identity, "ipv4-addr", value, name, queue, BACKGROUND, "bench")
                        for value, identity in ids.items()
                    ]
                    jobs.add(session, "acme", requests)

    @contextmanager
    def worker(self, names: Sequence[str], seconds: float = 600) -> Iterator[None]:
        """One worker process."""
        command = [sys.executable, "-m", "bench._enrichment_worker", str(seconds), *names]
        urls = ",".join(f"{name}=http://127.0.0.1:{self.port}/{name}" for name in names)
        environment = {**os.environ, "SENTINELIQ_ENRICHER_URLS": urls}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            yield
            process.terminate()

    def ended(self, name: str) -> list[float]:
        """When the jobs of an enricher finished, in order."""
        query = sa.text(
            "SELECT finished_at FROM enrichment_job "
            "WHERE enricher = :name AND state = 'done' ORDER BY finished_at"
        )
        with self.own.transaction(PLATFORM) as session:
            return [at.timestamp() for at in session.scalars(query, {"name": name})]

    def wait(self, name: str, count: int) -> list[float]:
        """Wait until some jobs of an enricher have finished."""
        while len(ends := self.ended(name)) < count:
            time.sleep(0.1)
        return ends

    def clear(self) -> None:
        """Delete all jobs."""
        with self.own.transaction(PLATFORM) as session:
            session.execute(sa.text("DELETE FROM enrichment_job"))


def pace(ends: list[float], skip: float = 0.1) -> float:
    """Jobs a second, without the first tenth, in which a worker starts."""
    ends = ends[int(len(ends) * skip) :]
    return (len(ends) - 1) / max(1e-9, ends[-1] - ends[0])


async def bare(port: int, count: int) -> float:
    """Calls a second of a client that stores nothing."""
    async with GuardedClient((ip_network("127.0.0.0/8"),), connections=_AT_ONCE) as client:
        free = asyncio.Semaphore(_AT_ONCE)

        async def once(number: int) -> None:
            async with free:
                (await client.request("GET", f"http://127.0.0.1:{port}/delay-100/{number}")).json()

        await asyncio.gather(*(once(number) for number in range(_AT_ONCE)))
        started = time.perf_counter()
        await asyncio.gather(*(once(number) for number in range(count)))
        return count / (time.perf_counter() - started)


def calls(bench: Bench, count: int) -> dict[str, Any]:
    """Calls made, answered and committed by one worker process, and by the bare client."""
    worker: list[float] = []
    client: list[float] = []
    for _ in range(3):
        client.append(asyncio.run(bare(bench.port, count)))
        bench.ask(["delay-100"], count)
        with bench.worker(["delay-100"]):
            worker.append(pace(bench.wait("delay-100", count)))
        bench.clear()
    return {
        "calls committed/s": statistics.median(worker),
        "bare client calls/s": statistics.median(client),
    }


def trouble(bench: Bench, count: int) -> dict[str, Any]:
    """What two providers answer in a second, alone and beside a dead and a trickling one."""
    good = ["delay-10", "delay-20"]
    bad = ["dead", "trickle"]
    alone: list[float] = []
    beside: list[float] = []
    for names, paces in ((good, alone), ([*good, *bad], beside)) * 3:
        bench.ask(names, count)
        with bench.worker(names):
            ends = [end for name in good for end in bench.wait(name, count)]
            paces.append(pace(sorted(ends)))
        bench.clear()
    ratio = statistics.median(beside) / statistics.median(alone)
    return {
        "others alone/s": statistics.median(alone),
        "others beside trouble/s": statistics.median(beside),
        "others beside / alone": ratio,
    }


def interactive(bench: Bench, waiting: int) -> dict[str, Any]:
    """Seconds until a person's query is answered while many background jobs wait."""
    bench.ask(["delay-50"], waiting)
    seconds = []
    with bench.worker(["delay-50"]):
        bench.wait("delay-50", 500)
        for number in range(10):
            started = time.perf_counter()
            request = EnrichmentRequest([detect(f"45.33.32.{number + 1}")], ["delay-50"])
            created = service.create(bench.own, "acme", "kim", request)
            while service.progress(bench.own, "acme", created).open:
                time.sleep(0.02)
            seconds.append(time.perf_counter() - started)
            time.sleep(0.3)
    bench.clear()
    return {
        "waiting": waiting,
        "click s, median": statistics.median(seconds),
        "click s, worst": max(seconds),
    }


def estimated(bench: Bench, count: int) -> dict[str, Any]:
    """How far estimates were off, at several moments.

    The provider answers 429 after each 100 calls.
    """
    bench.ask(["quota-100"], count)
    queue = queue_id("quota-100", PUBLIC, None)
    estimates: list[tuple[float, datetime]] = []
    with bench.worker(["quota-100"]):
        while (done := len(bench.ended("quota-100"))) < count:
            with bench.own.transaction(PLATFORM) as session:
                state = queue_states(session, [queue])[queue]
                left = jobs.count_open(session, [queue]).get(queue, {}).get("waiting", 0)
            if 0.1 < done / count < 0.8 and left:
                at = state.limiter.finish_at(state.limits, time.time(), left)
                estimates.append((time.time(), datetime.fromtimestamp(at).astimezone()))
            time.sleep(1)
        end = bench.ended("quota-100")[-1]
    errors = [abs(estimate.timestamp() - end) / (end - at) for at, estimate in estimates]
    bench.clear()
    return {
        "estimates": len(errors),
        "estimate off by, median": statistics.median(errors),
        "estimate off by, worst": max(errors),
    }


def main() -> None:
    """Measure, store the figures, and fail with the floors that were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sentineliq-bench-") as folder:
        Path(folder).chmod(0o755)
        with Infrastructure(Path(folder)).running() as infrastructure:
            os.environ.update(infrastructure.environment)
            os.environ.update(
                SENTINELIQ_SECRET_KEY=token_hex(32),
                SENTINELIQ_DATA_DIR=folder,
                SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8",
                SENTINELIQ_LOG_LEVEL="WARNING",
            )
            url = infrastructure.environment["DATABASE_URL"]
            migrate("observables", url)
            figures = measured(url, options.calls, options.waiting)
    failed = []
    if figures["calls committed/s"] < CALLS:
        failed.append(f"fewer than {CALLS} calls/s")
    if figures["click s, worst"] > INTERACTIVE_SECONDS:
        failed.append(f"an interactive query took more than {INTERACTIVE_SECONDS} s")
    if figures["others beside / alone"] < TROUBLE:
        failed.append("providers in trouble slow the others down")
    if figures["estimate off by, median"] > ESTIMATE:
        failed.append("estimates are off")
    report_figures("enrichment_calls", figures, failed)


def measured(url: str, count: int, waiting: int) -> dict[str, Any]:
    """All figures."""
    (port,) = free_ports(1)
    with subprocess.Popen(
        [sys.executable, "-m", "bench._providers", str(port)], stdout=subprocess.PIPE
    ) as providers:
        assert providers.stdout is not None
        providers.stdout.readline()
        bench = Bench(url, port)
        names = ["delay-10", "delay-20", "delay-50", "delay-100", "dead", "trickle", "quota-100"]
        registry.enrichers.cache_clear()
        classes = tuple(type(probe) for probe in probes(names).values())
        registry.BUILT_IN = classes  # type: ignore[misc]
        try:
            return (
                calls(bench, count)
                | trouble(bench, count // 2)
                | interactive(bench, waiting)
                | estimated(bench, count // 2)
            )
        finally:
            bench.own.close()
            providers.terminate()


if __name__ == "__main__":
    main()
