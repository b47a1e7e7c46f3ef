"""A list of a million lines, fetched again: unchanged, with another comment, with 1 % changed.

This process serves the list gzipped over HTTP, each time with a new ETag. The clock runs from the
order to fetch until the run has ended, and, where lines changed, until the observables service has
committed the last change. The limit is the time that Python's sets need to compare the same two
lists of lines in memory, with nothing fetched, parsed, stored or sent.
"""

import argparse
import gzip
import http.server
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import psutil

from bench._figures import api_client, report_figures, throwaway_stack
from bench.ingest_million import addresses
from sentineliq.local.orphans import running_processes
from sentineliq.local.stack import Stack

MIN_RATE_UNCHANGED = 1_000_000
MIN_RATE_CHANGED = 500_000
MAX_MEMORY_MIB = 300.0
REPEATS = 3


class ServedList:
    """The list that the provider serves at the moment."""

    def __init__(self) -> None:
        self.packed = b""
        self.version = 0

    def put(self, lines: list[str], comment: str = "# a list") -> None:
        """Serve these lines from now on, under a new ETag."""
        self.packed = gzip.compress("\n".join([comment, *lines]).encode(), 1)
        self.version += 1


@contextmanager
def running_provider() -> Iterator[tuple[str, ServedList]]:
    """Run a provider on loopback; yield the URL of its list, and the list."""
    current = ServedList()

    class Provider(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{current.version}"')
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(current.packed)))
            self.end_headers()
            self.wfile.write(current.packed)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/list.txt", current
    finally:
        server.shutdown()


class MeasuredFeed:
    """The feed under measurement.

    Args:
        stack: a running stack.
        url: the address of its list.
    """

    def __init__(self, stack: Stack, url: str) -> None:
        self._feeds = api_client(stack, "feeds")
        self._observables = api_client(stack, "observables")
        subscription = {
            "name": "million",
            "url": url,
            "format": "text",
            "confidence": 90,
            "min_interval": 1,
        }
        self.id = self._feeds.post("/v1/feeds", json=subscription).raise_for_status().json()["id"]

    def run(self) -> tuple[float, float, dict[str, Any]]:
        """Fetch the list; seconds to the end of the run, seconds to the commit, and the run."""
        time.sleep(1.2)  # longer than the pause that the feed owes its provider
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
            lambda progress: progress["received"] >= sent,
            0.1,
        )
        return ended, time.perf_counter() - started, run

    def _until(
        self,
        request: Callable[[], httpx2.Response],
        is_done: Callable[[dict[str, Any]], bool],
        pause: float,
    ) -> dict[str, Any]:
        """Repeat a request, with a pause in seconds, until its response is the awaited one."""
        while True:
            response: dict[str, Any] = request().raise_for_status().json()
            if is_done(response):
                return response
            time.sleep(pause)


_OPEN = ("queued", "running")


def worker_peak(stack: Stack) -> float:
    """The highest resident memory, in MiB, that any process of the feeds worker ever had."""
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
    rng = random.Random(seed)  # noqa: S311  # test data
    result = list(lines)
    for place in rng.sample(range(len(result)), len(result) // 100):
        network = f"{rng.randrange(128, 190)}.{rng.randrange(256)}.{rng.randrange(256)}"
        result[place] = f"{network}.{rng.randrange(1, 255)}"
    return result


def compare_sets(before: list[str], after: list[str]) -> float:
    """Seconds that Python's sets need for the same comparison."""
    old = "\n".join(before).encode()
    new = "\n".join(after).encode()
    started = time.perf_counter()
    old_lines = set(old.split(b"\n"))
    new_lines = set(new.split(b"\n"))
    assert old_lines - new_lines
    assert new_lines - old_lines
    return time.perf_counter() - started


def missed_limits(figures: dict[str, float]) -> list[str]:
    """A sentence for each figure that is beyond its limit."""
    rates = {
        "lines/s, same content": MIN_RATE_UNCHANGED,
        "lines/s, 1 % changed": MIN_RATE_CHANGED,
    }
    missed = [
        f"{name}: {figures[name]:,.0f} is below {least:,}"
        for name, least in rates.items()
        if figures[name] < least
    ]
    peak = figures["peak memory of a worker process (MiB)"]
    if peak > MAX_MEMORY_MIB:
        missed.append(f"a worker process had {peak:,.0f} MiB")
    return missed


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    count = parser.parse_args().lines
    lines = addresses(count)
    with (
        throwaway_stack(SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8") as (stack, _),
        running_provider() as (url, provider),
    ):
        feed = MeasuredFeed(stack, url)
        comment = "# a list"
        provider.put(lines, comment)
        _, first, _ = feed.run()
        unchanged = []
        commented = []
        differing = []
        travelled = 0
        for number in range(REPEATS):
            # The same content under a new ETag.
            provider.put(lines, comment)
            ended, _, run = feed.run()
            assert run["state"] == "unchanged"
            unchanged.append(ended)
            # Another comment.
            comment = f"# list {number}"
            provider.put(lines, comment)
            ended, _, run = feed.run()
            assert run["state"] == "unchanged"
            commented.append(ended)
            # One line in a hundred.
            before = lines
            lines = changed(lines, number)
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
    missed = missed_limits(figures)
    report_figures("feed_changes", figures, missed if count >= 1_000_000 else [])


if __name__ == "__main__":
    main()
