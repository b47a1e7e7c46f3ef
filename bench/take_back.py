"""An upload of 600,000 names that is taken back and restored, beside the upload itself.

The clock runs from the request until the observables service has committed everything. Processor
time is that of all processes of the stack, so that the figures hold on a machine that others use.
The limit is the upload: a take-back is a difference of documents, and costs no more than it.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import httpx2
import psutil

from bench._figures import api_client, report_figures, throwaway_stack

MAX_SECONDS = 60.0
"""For each of taking back and restoring, at `COUNT` names."""
COUNT = 600_000
TOO_MUCH = 413
_OPEN = ("queued", "running", "applying")


def processor_seconds() -> dict[int, tuple[str, float]]:
    """Name and processor time of each process that this one has started, by process id."""
    used: dict[int, tuple[str, float]] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
            used[process.pid] = (" ".join(process.cmdline())[:48], times.user + times.system)
        except psutil.NoSuchProcess:
            continue
    return used


class Measurement:
    """What one run takes: seconds by the clock, and of all processors."""

    def __init__(self, feeds: httpx2.Client) -> None:
        self._feeds = feeds

    def measure(
        self, request: Callable[[], httpx2.Response], *, shows_processes: bool = False
    ) -> tuple[float, float, dict[str, Any]]:
        """Request a run and wait for its end; seconds, processor seconds, and the run."""
        before = processor_seconds()
        started = time.perf_counter()
        document = request().raise_for_status().json()
        run: dict[str, Any] = document.get("run", document)
        while run["state"] in _OPEN:
            time.sleep(0.2)
            run = self._feeds.get(f"/v1/runs/{run['id']}").raise_for_status().json()
        seconds = time.perf_counter() - started
        used = {
            (name, pid): total - before.get(pid, (name, 0.0))[1]
            for pid, (name, total) in processor_seconds().items()
        }
        if shows_processes:
            for (name, pid), total in sorted(used.items(), key=lambda item: -item[1])[:8]:
                print(f"    {total:8.2f} s  {name} ({pid})")
        return seconds, sum(used.values()), run


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=COUNT)
    parser.add_argument("--processes", action="store_true", help="show which processes work")
    options = parser.parse_args()
    body = "\n".join(f"host{number}.example.net" for number in range(options.names)).encode()
    figures: dict[str, float] = {"names": options.names}
    with throwaway_stack() as (stack, _):
        feeds = api_client(stack, "feeds")
        feeds.timeout = 300
        observables = api_client(stack, "observables")
        measurement = Measurement(feeds)

        def upload() -> httpx2.Response:
            query = {"name": "mine", "file": "mine.txt", "confidence": "90"}
            return feeds.post("/v1/ingest", params=query, content=body)

        def count() -> int:
            # Counting is refused while it would take too long
            answer = observables.get("/v1/observables/count", params={"min_score": 1})
            while answer.status_code == TOO_MUCH:
                time.sleep(5)
                answer = observables.get("/v1/observables/count", params={"min_score": 1})
            return int(answer.raise_for_status().json()["count"])

        run: dict[str, Any] = {}
        steps: list[tuple[str, Callable[[], httpx2.Response], int]] = [
            ("upload", upload, options.names),
            ("take back", lambda: feeds.post(f"/v1/runs/{run['id']}/retract", json={}), 0),
            ("restore", lambda: feeds.post(f"/v1/runs/{run['id']}/restore"), options.names),
        ]
        for name, request, expected in steps:
            print(name)
            seconds, used, ended = measurement.measure(request, shows_processes=options.processes)
            run = run or ended
            print(f"    {seconds:8.2f} s by the clock, {used:.2f} s of all processors", flush=True)
            assert ended["state"] == "succeeded", ended
            assert count() == expected, count()
            figures[f"{name} (s)"] = seconds
            figures[f"{name} (processor s)"] = used
    missed = [
        f"{name}: {figures[f'{name} (s)']:.1f} s are more than {MAX_SECONDS:.0f}"
        for name in ("take back", "restore")
        if figures[f"{name} (s)"] > MAX_SECONDS
    ]
    report_figures("take_back", figures, missed)


if __name__ == "__main__":
    main()
