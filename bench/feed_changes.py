"""A million-line list that is fetched again: unchanged with a new ETag, another comment, one line in a hundred changed.

The list is served gzipped over HTTP from this process. The clock runs from the order to fetch until the run has ended,
and, where something changed, until the observables service has committed the last change. The limit is what Python's
own sets need to compare the same two lists of lines in memory, with nothing fetched, parsed, stored or sent.
"""

import argparse
import gzip
import http.server
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import psutil

from bench._figures import client_of, keep, throwaway_stack
from bench.ingest_million import addresses
from sentineliq.local.orphans import running_processes
from sentineliq.local.stack import Stack

FLOOR_UNCHANGED, FLOOR_CHANGED, MOST_MEMORY = 1_000_000, 500_000, 300.0
REPEATS = 3


class List:
    """What the provider serves at the moment."""

    def __init__(self) -> None:
        self.packed = b""
        self.version = 0

    def put(self, lines: list[str], comment: str = "# a list") -> None:
        """Serve other lines, under a new ETag."""
        self.packed = gzip.compress("\n".join([comment, *lines]).encode(), 1)
        self.version += 1


@contextmanager
def served() -> Iterator[tuple[str, List]]:
    """A provider on loopback."""
    current = List()

    class Provider(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{current.version}"')
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(current.packed)))
            self.end_headers()
            self.wfile.write(current.packed)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/list.txt", current
    finally:
        server.shutdown()


class Feed:
    """The feed under measurement.

    Args:
        stack: a running stack.
        url: where its list is.
    """

    def __init__(self, stack: Stack, url: str) -> None:
        self._feeds, self._observables = client_of(stack, "feeds"), client_of(stack, "observables")
        wanted = {
            "name": "million",
            "url": url,
            "format": "text",
            "confidence": 90,
            "min_interval": 1,
        }
        self.id = self._feeds.post("/v1/feeds", json=wanted).raise_for_status().json()["id"]

    def run(self) -> tuple[float, float, dict[str, Any]]:
        """Fetch it: seconds until the run ended, seconds until everything is committed, and the run."""
        time.sleep(1.2)  # its turn at the provider has come by then
        started = time.perf_counter()
        run_id = self._feeds.post(f"/v1/feeds/{self.id}/runs").raise_for_status().json()["id"]
        run = self._until(
            lambda: self._feeds.get(f"/v1/runs/{run_id}"),
            lambda run: run["state"] not in _OPEN,
            0.02,
        )
        ended = time.perf_counter() - started
        report = run["report"] or {}
        sent = report.get("seen", 0) + report.get("gone", 0)
        self._until(
            lambda: self._observables.get(f"/v1/runs/{run_id}"),
            lambda told: told["received"] >= sent,
            0.1,
        )
        return ended, time.perf_counter() - started, run

    def _until(self, ask: Any, done: Any, pause: float) -> dict[str, Any]:
        while True:
            answer: httpx2.Response = ask()
            told: dict[str, Any] = answer.raise_for_status().json()
            if done(told):
                return told
            time.sleep(pause)


_OPEN = ("queued", "running")


def worker_peak(stack: Stack) -> float:
    """Most resident memory, in MiB, that any process of the feeds worker ever had."""
    processes = dict(running_processes(stack.data_dir))
    root = psutil.Process(
        next(pid for name, pid in processes.items() if "feeds" in name and "worker" in name)
    )
    return max(_peak(process.pid) for process in (root, *root.children(recursive=True)))


def _peak(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123  # a kernel file
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def changed(lines: list[str], seed: int) -> list[str]:
    """The list with one line in a hundred replaced."""
    rng, other = random.Random(seed), list(lines)  # noqa: S311  # test data
    for at in rng.sample(range(len(other)), len(other) // 100):
        other[at] = (
            f"{rng.randrange(128, 190)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        )
    return other


def compare_sets(before: list[str], after: list[str]) -> float:
    """Seconds that Python's sets need for the same comparison."""
    old, new = "\n".join(before).encode(), "\n".join(after).encode()
    started = time.perf_counter()
    left, right = set(old.split(b"\n")), set(new.split(b"\n"))
    assert left - right
    assert right - left
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    count = parser.parse_args().lines
    lines = addresses(count)
    with (
        throwaway_stack(SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8") as (stack, _),
        served() as (url, provider),
    ):
        feed, comment = Feed(stack, url), "# a list"
        provider.put(lines, comment)
        _, first, _ = feed.run()
        unchanged, commented, differing, travelled = [], [], [], 0
        for number in range(REPEATS):
            provider.put(lines, comment)
            ended, _, run = feed.run()
            assert run["state"] == "unchanged"
            unchanged.append(ended)
            provider.put(lines, comment := f"# list {number}")
            ended, _, run = feed.run()
            assert run["state"] == "unchanged"
            commented.append(ended)
            before, lines = lines, changed(lines, number)
            provider.put(lines, comment)
            _, committed, run = feed.run()
            differing.append(committed)
            travelled = run["report"]["seen"] + run["report"]["gone"]
        peak = worker_peak(stack)
        limit = compare_sets(before, lines)
    figures = {
        "lines": count,
        "first time, committed (s)": first,
        "same content, new ETag (s)": sorted(unchanged)[1],
        "lines/s, same content": count / sorted(unchanged)[1],
        "another comment (s)": sorted(commented)[1],
        "lines/s, another comment": count / sorted(commented)[1],
        "1 % changed, committed (s)": sorted(differing)[1],
        "lines/s, 1 % changed": count / sorted(differing)[1],
        "changes that travelled": travelled,
        "Python's sets alone, the limit (s)": limit,
        "peak memory of a worker process (MiB)": peak,
    }
    missed = [
        f"{name}: {figures[name]:,.0f} is below {floor:,}"
        for name, floor in (
            ("lines/s, same content", FLOOR_UNCHANGED),
            ("lines/s, 1 % changed", FLOOR_CHANGED),
        )
        if figures[name] < floor
    ]
    missed += [f"a worker process had {peak:,.0f} MiB"] if peak > MOST_MEMORY else []
    keep("feed_changes", figures, missed if count >= 1_000_000 else [])


if __name__ == "__main__":
    main()
