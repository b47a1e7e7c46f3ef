"""Another tenant's feed, and the health of the feeds API, beside documents made to stop it.

A hostile tenant uploads and previews the corpus of `tests/feeds/hostile` without a pause. A second
tenant uploads a short list every second: the clock runs from the time that its run is queued until
a worker starts it, both by the database. `/healthz` of the feeds API is read every 20 ms. Both are
measured undisturbed first, in the same run.
"""

import argparse
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import httpx2
import msgspec

from bench._figures import api_client, report_figures, throwaway_stack
from sentineliq.local.stack import Stack
from tests.feeds.hostile.corpus import DOCUMENTS, HostileDocument

LATER_SECONDS = 1.0
HEALTH_P99_MS = 50.0
_UPLOADERS = 2
_PREVIEWERS = 2
_WARM_SECONDS = 10.0


class Sample(NamedTuple):
    """What was measured in a phase.

    Attributes:
        starts: seconds from queued to started of each short list.
        health: milliseconds of each answer of `/healthz`.
    """

    starts: list[float]
    health: list[float]


def _parameters(document: HostileDocument) -> dict[str, str]:
    parameters = {"name": document.name}
    if document.format:
        parameters["format"] = document.format
    if document.options:
        parameters["options"] = msgspec.json.encode(document.options).decode()
    return parameters


@contextmanager
def _hostile_tenant(stack: Stack, outcomes: Counter[str]) -> Iterator[None]:
    """Upload and preview the corpus, again and again, as the tenant acme."""
    is_over = threading.Event()
    contents = [(document, document.make()) for document in DOCUMENTS]

    def send(path: str, first: int) -> None:
        with api_client(stack, "feeds") as client:
            client.timeout = httpx2.Timeout(120)
            for document, content in itertools.cycle(contents[first:] + contents[:first]):
                if is_over.is_set():
                    return
                answer = client.post(path, params=_parameters(document), content=content)
                outcomes[f"{path.rpartition('/')[2]} {answer.status_code}"] += 1
                # Told to come again: not at once, or this measures how fast refusals are.
                if answer.status_code in {429, 503}:
                    is_over.wait(0.5)

    with ThreadPoolExecutor(_UPLOADERS + _PREVIEWERS) as threads:
        for number in range(_UPLOADERS):
            threads.submit(send, "/v1/ingest", number * len(contents) // _UPLOADERS)
        for number in range(_PREVIEWERS):
            threads.submit(send, "/v1/preview/document", number * len(contents) // _PREVIEWERS)
        try:
            yield
        finally:
            is_over.set()


@contextmanager
def _health_checks(stack: Stack, milliseconds: list[float]) -> Iterator[None]:
    """Read `/healthz` every 20 ms; a check that fails counts as ten seconds."""
    is_over = threading.Event()

    def check() -> None:
        with httpx2.Client(
            base_url=stack.environment["SENTINELIQ_FEEDS_URL"], trust_env=False, timeout=10
        ) as client:
            while not is_over.wait(0.02):
                started = time.perf_counter()
                try:
                    client.get("/healthz").raise_for_status()
                    milliseconds.append((time.perf_counter() - started) * 1000)
                except httpx2.HTTPError:
                    milliseconds.append(10_000.0)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(check)
        try:
            yield
        finally:
            is_over.set()


def _upload_short_list(feeds: httpx2.Client, number: int) -> str:
    """Upload ten lines and return the run's id."""
    lines = "\n".join(f"150.{number % 250}.{line}.9" for line in range(10))
    parameters = {"name": f"short-{number}", "format": "text"}
    answer = feeds.post("/v1/ingest", params=parameters, content=lines.encode())
    return str(answer.raise_for_status().json()["id"])


def _start_seconds(feeds: httpx2.Client, run_id: str) -> float:
    """Wait until a run has started and return after how many seconds it did; 300 at most."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        run: dict[str, Any] = feeds.get(f"/v1/runs/{run_id}").raise_for_status().json()
        if run["started_at"] is not None:
            queued = datetime.fromisoformat(run["queued_at"])
            return (datetime.fromisoformat(run["started_at"]) - queued).total_seconds()
        time.sleep(0.2)
    return 300.0


def _measure(stack: Stack, seconds: float, numbers: Iterator[int]) -> Sample:
    """Upload a short list every second, and read the health of the API."""
    sample = Sample([], [])
    run_ids = []
    with api_client(stack, "feeds", "globex") as feeds:
        feeds.timeout = httpx2.Timeout(120)
        with _health_checks(stack, sample.health):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                run_ids.append(_upload_short_list(feeds, next(numbers)))
                time.sleep(1)
            sample.starts.extend(_start_seconds(feeds, run_id) for run_id in run_ids)
    return sample


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two phases")
    seconds = parser.parse_args().seconds
    outcomes: Counter[str] = Counter()
    numbers = itertools.count()
    with throwaway_stack() as (stack, _):
        _measure(stack, _WARM_SECONDS, numbers)
        alone = _measure(stack, seconds, numbers)
        with _hostile_tenant(stack, outcomes):
            time.sleep(_WARM_SECONDS)
            beside = _measure(stack, seconds, numbers)
    later = max(beside.starts) - max(alone.starts)
    health = _p99(beside.health)
    figures = {
        "hostile documents, by answer": dict(sorted(outcomes.items())),
        "short lists, undisturbed": len(alone.starts),
        "started after, undisturbed, worst (s)": max(alone.starts),
        "short lists beside them": len(beside.starts),
        "started after, beside, worst (s)": max(beside.starts),
        "later at worst (s)": later,
        "/healthz p99, undisturbed (ms)": _p99(alone.health),
        "/healthz p99, beside (ms)": health,
        "/healthz worst, beside (ms)": max(beside.health),
    }
    missed = []
    if later > LATER_SECONDS:
        missed.append(f"a feed of another tenant started {later:.1f} s later")
    if health > HEALTH_P99_MS:
        missed.append(f"/healthz took {health:.0f} ms at the 99th percentile")
    report_figures("hostile", figures, missed)


if __name__ == "__main__":
    main()
