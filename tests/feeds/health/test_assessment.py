"""How a feed is doing, told by its runs and by its habits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.feeds.health.assessment import MonitoredFeed, PastRun, assess
from services.feeds.subscriptions.models import Quarantine

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = 3600
FEED = MonitoredFeed(HOUR, NOW - timedelta(days=90), listed=1000)


def past(
    hours: float,
    state: str = "succeeded",
    *,
    listed: int = 1000,
    error: dict[str, Any] | None = None,
    **report: Any,
) -> PastRun:
    stored_report = {"taken": listed, "dropped": {}, **report}
    return PastRun(state, NOW - timedelta(hours=hours), stored_report, error or {})


def upstream(status: int) -> dict[str, Any]:
    return {"code": "upstream-status", "message": f"HTTP {status}", "upstream_status": status}


def changing(first: float, every: float, count: int = 10) -> list[PastRun]:
    return [past(first + number * every, seen=5) for number in range(count)]


@pytest.mark.parametrize(
    ("runs", "state"),
    [
        ([], "late"),
        ([past(0.5)], "healthy"),
        ([past(0.5, "failed", error=upstream(401)), past(2)], "unauthorised"),
        ([past(0.5, "failed", error=upstream(404)), past(2)], "gone"),
        ([past(0.5, "failed", error=upstream(503)), past(2)], "healthy"),
        ([past(0.5, "failed", error=upstream(503))], "unreachable"),
        ([replace(past(0.5, "failed", error=upstream(503)), failures=2), past(2)], "unreachable"),
        (
            [
                past(0.5, "failed", error=upstream(503)),
                past(1.5, "failed", error=upstream(503)),
                past(3),
            ],
            "unreachable",
        ),
        (
            [past(0.5, "failed", error={"code": "malformed-document", "message": "a web page"})],
            "drifted",
        ),
        (
            [past(0.5, "failed", error={"code": "unavailable", "message": "ours"}), past(1)],
            "healthy",
        ),
        ([past(0.5, listed=100, dropped={"empty": 900}), past(2), past(3)], "drifted"),
        ([past(0.5, listed=900, dropped={"duplicate": 9000}), past(2), past(3)], "healthy"),
        ([past(0.5, listed=0), past(2), past(3)], "empty"),
        ([past(5)], "late"),
        (changing(0.5, 1), "healthy"),
        ([past(number, "unchanged") for number in range(1, 30)] + changing(30, 1), "late"),
        ([past(number, "unchanged") for number in range(1, 30)] + changing(30, 24), "healthy"),
    ],
)
def test_the_worst_that_is_true_is_said(runs: list[PastRun], state: str) -> None:
    health = assess(FEED, runs, NOW)
    assert health.state == state
    assert bool(health.evidence.get("reason")) == (state != "healthy")


@pytest.mark.parametrize(("listed", "state"), [(0, "empty"), (100, "shrunk")])
def test_what_is_held_back_is_said(listed: int, state: str) -> None:
    quarantine = Quarantine(1, "it lost most", "", listed, 1000)
    health = assess(
        MonitoredFeed(HOUR, FEED.created_at, 1000, quarantine), [past(0.5, "held")], NOW
    )
    assert (health.state, health.evidence["before"]) == (state, 1000)


def test_a_document_that_nobody_touched_for_months_is_late_at_the_first_fetch() -> None:
    dead = MonitoredFeed(HOUR, NOW, 1, last_modified="Fri, 03 Jan 2025 08:00:00 GMT")
    assert assess(dead, [past(0.1)], NOW).state == "late"
    alive = MonitoredFeed(HOUR, NOW, 1, last_modified="Mon, 23 Nov 2026 08:00:00 GMT")
    assert assess(alive, [past(0.1)], NOW).state == "healthy"


def test_a_feed_that_is_only_uploaded_is_never_late() -> None:
    assert assess(MonitoredFeed(None, FEED.created_at), [past(5000)], NOW).state == "healthy"
