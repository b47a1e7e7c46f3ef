"""Calls to providers: how many a worker process makes and commits, and what providers in trouble do to the others.

Beside it in the same run: an asyncio client that asks the same provider as often at once, and stores nothing.
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

from bench._asker import probes
from bench._figures import keep
from sentineliq.local.ports import free_ports
from sentineliq.local.stack import Infrastructure
from services.observables.enrichment.queues import estimates
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import BACKGROUND, JobRequest
from services.observables.enrichment.requests import service
from services.observables.enrichment.requests.service import Question
from services.observables.enrichment.settings.access import queue_id
from services.observables.providers import registry
from shared.database import PLATFORM, PUBLIC, Database
from shared.http import GuardedClient
from shared.migrations import migrate
from shared.stix import detect
from shared.stix.ids import observable_uuid

CALLS, COMMITTED, CLICK_SECONDS, TROUBLE, ESTIMATE = 500, 300, 2.0, 0.9, 0.2
_AT_ONCE = 100


class Bench:
    """A database with questions in it, providers, and workers that ask them."""

    def __init__(self, url: str, port: int) -> None:
        self.url, self.port = url, port
        self.own = Database(url, "observables")
        self._next = 0

    def ask(self, names: Sequence[str], count: int) -> None:
        """Store so many automatic questions for each enricher, about addresses that were never asked about."""
        first = int(IPv4Address("23.0.0.0")) + self._next
        self._next += count
        with self.own.transaction("acme") as session:
            made = [(queue_id(name, PUBLIC, None), PUBLIC, name, None) for name in names]
            provider_queues.ensure(session, "observables", "acme", made)
            for start in range(0, count, 10_000):
                values = [
                    str(IPv4Address(first + number))
                    for number in range(start, min(count, start + 10_000))
                ]
                ids = {
                    value: str(UUID(bytes=observable_uuid("ipv4-addr", value))) for value in values
                }
                for name in names:
                    lane = queue_id(name, PUBLIC, None)
                    wanted = [
                        JobRequest(ids[one], "ipv4-addr", one, name, lane, BACKGROUND, "bench")
                        for one in values
                    ]
                    jobs.add(session, "acme", wanted)

    @contextmanager
    def worker(self, names: Sequence[str], seconds: float = 600) -> Iterator[None]:
        """One worker process."""
        command = [sys.executable, "-m", "bench._asker", str(seconds), *names]
        urls = ",".join(f"{name}=http://127.0.0.1:{self.port}/{name}" for name in names)
        environment = {**os.environ, "SENTINELIQ_ENRICHER_URLS": urls}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            yield
            process.terminate()

    def ended(self, name: str) -> list[float]:
        """When the questions to an enricher ended, in order."""
        query = sa.text(
            "SELECT finished_at FROM enrichment_job WHERE enricher = :name AND state = 'done' ORDER BY finished_at"
        )
        with self.own.transaction(PLATFORM) as session:
            return [at.timestamp() for at in session.scalars(query, {"name": name})]

    def wait(self, name: str, count: int) -> list[float]:
        """Wait until so many questions to an enricher have ended."""
        while len(found := self.ended(name)) < count:
            time.sleep(0.1)
        return found

    def clear(self) -> None:
        """Forget all questions."""
        with self.own.transaction(PLATFORM) as session:
            session.execute(sa.text("DELETE FROM enrichment_job"))


def pace(ends: list[float], skip: float = 0.1) -> float:
    """Questions a second, without the first tenth, in which a worker starts."""
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
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(3):
        theirs.append(asyncio.run(bare(bench.port, count)))
        bench.ask(["delay-100"], count)
        with bench.worker(["delay-100"]):
            ours.append(pace(bench.wait("delay-100", count)))
        bench.clear()
    return {
        "calls committed/s": statistics.median(ours),
        "bare client calls/s": statistics.median(theirs),
    }


def trouble(bench: Bench, count: int) -> dict[str, Any]:
    """What two providers answer in a second, alone, and beside one that is dead and one that trickles."""
    good, bad = ["delay-10", "delay-20"], ["dead", "trickle"]
    alone: list[float] = []
    beside: list[float] = []
    for names, found in ((good, alone), ([*good, *bad], beside)) * 3:
        bench.ask(names, count)
        with bench.worker(names):
            found.append(pace(sorted(end for name in good for end in bench.wait(name, count))))
        bench.clear()
    ratio = statistics.median(beside) / statistics.median(alone)
    return {
        "others alone/s": statistics.median(alone),
        "others beside trouble/s": statistics.median(beside),
        "others beside / alone": ratio,
    }


def interactive(bench: Bench, waiting: int) -> dict[str, Any]:
    """Seconds until a person's question is answered while so many automatic ones wait."""
    bench.ask(["delay-50"], waiting)
    seconds = []
    with bench.worker(["delay-50"]):
        bench.wait("delay-50", 500)
        for number in range(10):
            started = time.perf_counter()
            made = service.ask(
                bench.own, "acme", "kim", Question([detect(f"45.33.32.{number + 1}")], ["delay-50"])
            )
            while service.progress(bench.own, "acme", made).open:
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
    """How far estimates of the end were from it, at several moments, with a provider that says 429 after 100 calls."""
    bench.ask(["quota-100"], count)
    lane = queue_id("quota-100", PUBLIC, None)
    told: list[tuple[float, datetime]] = []
    with bench.worker(["quota-100"]):
        while (done := len(bench.ended("quota-100"))) < count:
            with bench.own.transaction(PLATFORM) as session:
                state = estimates.states(session, [lane])[lane]
                left = jobs.open_counts(session, [lane]).get(lane, {}).get("waiting", 0)
            if 0.1 < done / count < 0.8 and left:
                at = state.limiter.finish_at(state.plan, time.time(), left)
                told.append((time.time(), datetime.fromtimestamp(at).astimezone()))
            time.sleep(1)
        end = bench.ended("quota-100")[-1]
    errors = [abs(estimate.timestamp() - end) / (end - at) for at, estimate in told]
    bench.clear()
    return {
        "estimates": len(errors),
        "estimate off by, median": statistics.median(errors),
        "estimate off by, worst": max(errors),
    }


def main() -> None:
    """Measure, keep the figures, and end with the floors that were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    given = parser.parse_args()
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
            figures = measured(url, given.calls, given.waiting)
    failed = []
    if figures["calls committed/s"] < CALLS:
        failed.append(f"fewer than {CALLS} calls/s")
    if figures["click s, worst"] > CLICK_SECONDS:
        failed.append(f"a click took more than {CLICK_SECONDS} s")
    if figures["others beside / alone"] < TROUBLE:
        failed.append("providers in trouble slow the others down")
    if figures["estimate off by, median"] > ESTIMATE:
        failed.append("estimates are off")
    keep("enrichment_calls", figures, failed)


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
        registry.BUILT_IN = tuple(type(one) for one in probes(names).values())  # type: ignore[misc]
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
