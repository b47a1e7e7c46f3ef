"""Delay of a tenant's hundred-line feed while a million-line feed of another tenant runs.

The clock runs from the upload of the short list until the observables service has committed its
last line. The limit is the same upload on the same idle stack.
"""

import argparse
import statistics
import sys
import time

from bench._figures import api_client, report_figures, throwaway_stack
from bench.ingest_million import addresses
from sentineliq.local.stack import Stack

MAX_SECONDS = 5.0
REPEATS = 5


def short_list(stack: Stack, number: int) -> float:
    """Seconds until a hundred lines of another tenant are visible."""
    feeds = api_client(stack, "feeds", "other")
    observables = api_client(stack, "observables", "other")
    content = "\n".join(f"150.{number}.{line}.9" for line in range(100)).encode()
    started = time.perf_counter()
    answer = feeds.post(
        "/v1/ingest", params={"name": f"short-{number}", "format": "text"}, content=content
    )
    run = answer.raise_for_status().json()
    while observables.get(f"/v1/runs/{run['id']}").json()["received"] < 100:
        time.sleep(0.02)
    return time.perf_counter() - started


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    lines = parser.parse_args().lines
    content = "\n".join(addresses(lines)).encode()
    with throwaway_stack() as (stack, _):
        alone = [short_list(stack, number) for number in range(REPEATS)]
        feeds = api_client(stack, "feeds")
        observables = api_client(stack, "observables")
        answer = feeds.post(
            "/v1/ingest", params={"name": "long", "format": "text"}, content=content
        )
        long = answer.raise_for_status().json()
        time.sleep(2)
        beside = []
        for number in range(REPEATS, 3 * REPEATS):
            beside.append(short_list(stack, number))
            if observables.get(f"/v1/runs/{long['id']}").json()["received"] >= lines:
                beside.pop()  # the long feed was over before
                break
            time.sleep(0.5)
    if not beside:
        sys.exit("fair_share: the long feed ended before a short one; raise --lines")
    worst = max(beside)
    figures = {
        "lines of the long feed": lines,
        "short feeds beside it": len(beside),
        "visible after, median (s)": statistics.median(beside),
        "visible after, worst (s)": worst,
        "alone, median, the limit (s)": statistics.median(alone),
    }
    missed = []
    if worst > MAX_SECONDS:
        missed.append(f"{worst:.1f} s until a hundred lines were visible")
    report_figures("fair_share", figures, missed)


if __name__ == "__main__":
    main()
