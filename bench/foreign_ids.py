"""Whether time tells another tenant's id from one that does not exist.

A tenant asks for objects of another tenant and for ids that nobody has, in turn, so that both see
the same machine. Both answers are 404, in the same words; the medians of 2,000 calls of each are
within five per cent of each other.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx2

from bench._figures import api_client, report_figures, throwaway_stack
from sentineliq.local.stack import Stack

MAX_DIFFERENCE = 5.0
"""Per cent between the two medians."""
_WARM_CALLS = 100


def _make(client: httpx2.Client, path: str, body: dict[str, Any]) -> str:
    answer = client.post(path, json=body)
    answer.raise_for_status()
    return str(answer.json()["id"])


def _foreign_paths(stack: Stack) -> dict[str, tuple[str, Callable[[str], str], str]]:
    """By object: its service, the path of an id, and an id that another tenant has."""
    feeds = api_client(stack, "feeds", "globex")
    notifications = api_client(stack, "notifications", "globex")
    scheduler = api_client(stack, "scheduler", "globex")
    observables = api_client(stack, "observables", "globex")
    channel = _make(
        notifications, "/v1/channels", {"name": "log", "kind": "log", "config": {"level": "info"}}
    )
    rule = _make(notifications, "/v1/rules", {"name": "all", "channel_ids": [channel]})
    schedule = {
        "name": "daily",
        "task": "feeds.tasks.start_feed",
        "args": [str(uuid4())],
        "every_seconds": 86_400,
    }
    named_list = {"name": "addresses", "filter": "observable.score >= 50"}
    return {
        "feed": ("feeds", "/v1/feeds/{}".format, _make(feeds, "/v1/feeds", {"name": "own"})),
        "channel": ("notifications", "/v1/channels/{}".format, channel),
        "rule": ("notifications", "/v1/rules/{}".format, rule),
        "schedule": (
            "scheduler",
            "/v1/schedules/{}".format,
            _make(scheduler, "/v1/schedules", schedule),
        ),
        "list": ("observables", "/v1/lists/{}".format, _make(observables, "/v1/lists", named_list)),
    }


def _milliseconds(client: httpx2.Client, path: str) -> float:
    started = time.perf_counter()
    answer = client.get(path)
    duration = 1000 * (time.perf_counter() - started)
    if answer.status_code != 404:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")
    return duration


def measure(
    client: httpx2.Client, path_of: Callable[[str], str], foreign_id: str, calls: int
) -> tuple[float, float]:
    """Return the medians, in milliseconds, of another tenant's id and of ids that nobody has."""
    foreign: list[float] = []
    unknown: list[float] = []
    for number in range(_WARM_CALLS + calls):
        pair = [(foreign, foreign_id), (unknown, str(uuid4()))]
        # Who comes second finds a warmer cache.
        for times, object_id in pair if number % 2 else reversed(pair):
            duration = _milliseconds(client, path_of(object_id))
            if number >= _WARM_CALLS:
                times.append(duration)
    return statistics.median(foreign), statistics.median(unknown)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000)
    calls = parser.parse_args().calls
    figures: dict[str, float] = {}
    missed = []
    with throwaway_stack(SENTINELIQ_API_RATE="0") as (stack, _):
        for name, (service, path_of, foreign_id) in _foreign_paths(stack).items():
            client = api_client(stack, service, "acme")
            foreign, unknown = measure(client, path_of, foreign_id, calls)
            difference = 100 * abs(foreign - unknown) / unknown
            figures[f"{name}: median of another tenant's id (ms)"] = round(foreign, 3)
            figures[f"{name}: median of an unknown id (ms)"] = round(unknown, 3)
            figures[f"{name}: difference (%)"] = round(difference, 2)
            if difference > MAX_DIFFERENCE:
                missed.append(f"{name}: the medians differ by {difference:.1f} %")
    report_figures("foreign_ids", figures, missed)


if __name__ == "__main__":
    main()
