"""The health of a feed, by its last runs and its own habits: plain functions without I/O.

A feed that is broken and a feed without news look alike. So each feed is measured by itself: how
often it used to change, how much it used to list, how much of it could be read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise, takewhile
from statistics import median
from typing import Any, Final, Literal

from services.feeds.subscriptions.models import Quarantine

HealthState = Literal[
    "healthy", "late", "empty", "shrunk", "drifted", "unauthorised", "unreachable", "gone"
]

MAX_RUNS: Final = 50
"""Runs that are assessed, newest first."""
_FAILED_ATTEMPTS: Final = 2
"""Attempts in a row after which a feed that was read before is unreachable; another one at once."""
_CHANGES_TO_LEARN: Final = 5
_LATE_TIMES: Final = 5
"""Usual gaps between two changes after which a feed is late."""
_OLD: Final = timedelta(days=30)
_DRIFT: Final = 0.5
_MOSTLY_READ: Final = 0.2
_UNAUTHORISED: Final = (401, 403, 407)
_GONE: Final = (404, 410)
_FAULTS_OF_OTHERS: Final = ("upstream", "forbidden", "unavailable", "unworkable")
"""Beginnings of error codes that do not blame the document."""
_HARMLESS: Final = ("duplicate", "taken back by the source")
"""Reasons for leaving items out that do not mean that they could not be read."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that ended.

    Attributes:
        state: succeeded, unchanged, held (in quarantine) or failed.
        report: see `services.feeds.runs.report.RunReport`.
        error: code, message and, for an answer of the provider, `upstream_status`.
        failures: attempts of it that failed at the provider.
    """

    state: str
    ended_at: datetime
    report: dict[str, Any]
    error: dict[str, Any]
    failures: int = 0

    @property
    def was_read(self) -> bool:
        """Whether its document was read and published."""
        return self.state in ("succeeded", "unchanged")


@dataclass(frozen=True, slots=True)
class MonitoredFeed:
    """A feed, as far as its health goes.

    Attributes:
        every: seconds between two fetches; None when it is not fetched on a schedule.
        listed: observables in its snapshot.
        quarantine: why its last document was not published.
        last_modified: date of the last document, by the provider's server.
    """

    every: int | None
    created_at: datetime
    listed: int = 0
    quarantine: Quarantine | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """A state, one sentence for people, and the figures behind it."""

    state: HealthState
    reason: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def evidence(self) -> dict[str, Any]:
        """As it is stored and published."""
        return {"reason": self.reason, **self.figures} if self.reason else {}


def assess(feed: MonitoredFeed, runs: Sequence[PastRun], now: datetime) -> FeedHealth:
    """The worst that is true of a feed.

    Args:
        feed: the feed.
        runs: its last runs, newest first.
        now: a time with a zone.
    """
    for check in _CHECKS:
        health = check(feed, runs, now)
        if health is not None:
            return health
    return FeedHealth("healthy")


_Check = Callable[[MonitoredFeed, Sequence[PastRun], datetime], FeedHealth | None]


def _check_failing(
    _feed: MonitoredFeed, runs: Sequence[PastRun], _now: datetime
) -> FeedHealth | None:
    failed = list(takewhile(lambda run: run.state == "failed", runs))
    if not failed:
        return None
    error = failed[0].error
    if not error.get("code", "").startswith(("upstream", "forbidden-target")):
        return None
    status = error.get("upstream_status")
    message = error.get("message", "it failed")
    figures = {
        "failed_runs": len(failed),
        "since": failed[-1].ended_at.isoformat(timespec="seconds"),
    }
    if status in _UNAUTHORISED:
        reason = f"{message}: the credentials are missing, wrong or expired."
        return FeedHealth("unauthorised", reason, figures)
    if status in _GONE:
        reason = f"{message}: the provider has moved the feed or given it up."
        return FeedHealth("gone", reason, figures)
    attempts = sum(max(1, run.failures) for run in failed)
    if attempts < _FAILED_ATTEMPTS and any(run.was_read for run in runs):
        return None
    count = "the last attempt" if attempts == 1 else f"{attempts} attempts in a row"
    return FeedHealth("unreachable", f"{message}; {count} failed.", figures)


def _check_unreadable(
    _feed: MonitoredFeed, runs: Sequence[PastRun], _now: datetime
) -> FeedHealth | None:
    if not runs or runs[0].state != "failed":
        return None
    error = runs[0].error
    if error.get("code", "").startswith(_FAULTS_OF_OTHERS):
        return None
    reason = f"The last document could not be read: {error.get('message', '')}"
    return FeedHealth("drifted", reason)


def _check_drifted(
    _feed: MonitoredFeed, runs: Sequence[PastRun], _now: datetime
) -> FeedHealth | None:
    if not runs or runs[0].state != "succeeded":
        return None
    shares = [_unread_share(run) for run in runs if run.state == "succeeded"]
    measured = [share for share in shares if share is not None]
    if len(measured) < 2:
        return None
    last = measured[0]
    usual = median(measured[1:])
    if last <= _DRIFT or usual >= _MOSTLY_READ:
        return None
    figures = {
        "left_out": round(last, 3),
        "usually": round(usual, 3),
        "dropped": runs[0].report["dropped"],
    }
    reason = f"{last:.0%} of the last document could not be read, usually {usual:.0%}."
    return FeedHealth("drifted", reason, figures)


def _unread_share(run: PastRun) -> float | None:
    """The share of a document that could not be read; None for an empty document."""
    dropped = sum(
        count for reason, count in run.report.get("dropped", {}).items() if reason not in _HARMLESS
    )
    total = dropped + run.report.get("taken", 0)
    return dropped / total if total else None


def _check_quarantined(
    feed: MonitoredFeed, runs: Sequence[PastRun], _now: datetime
) -> FeedHealth | None:
    quarantine = feed.quarantine
    if quarantine is None or not runs or runs[0].state != "held":
        return None
    figures = {
        "listed": quarantine.listed,
        "before": quarantine.before,
        "times": quarantine.times,
    }
    return FeedHealth("shrunk" if quarantine.listed else "empty", quarantine.reason, figures)


def _check_empty(
    _feed: MonitoredFeed, runs: Sequence[PastRun], _now: datetime
) -> FeedHealth | None:
    was_read = [run for run in runs if run.was_read]
    if not was_read:
        return None
    last = was_read[0]
    if last.report.get("taken", 0) or last.state != "succeeded":
        return None
    usual = [
        run.report["taken"]
        for run in was_read[1:]
        if run.state == "succeeded" and run.report.get("taken")
    ]
    if not usual:
        return None
    reason = f"The last document lists no observables, usually {median(usual):,.0f}."
    return FeedHealth("empty", reason)


def _check_overdue(
    feed: MonitoredFeed, runs: Sequence[PastRun], now: datetime
) -> FeedHealth | None:
    if feed.every is None:
        return None
    last = runs[0].ended_at if runs else feed.created_at
    if now - last <= timedelta(seconds=3 * feed.every + 600):
        return None
    reason = (
        f"It was to be fetched every {_duration(feed.every)}; the last run ended {_ago(now, last)}."
    )
    return FeedHealth("late", reason)


def _check_silent(feed: MonitoredFeed, runs: Sequence[PastRun], now: datetime) -> FeedHealth | None:
    """A feed that has not changed for much longer than it usually does."""
    if feed.every is None:
        return None
    changes = [run.ended_at for run in runs if run.report.get("seen") or run.report.get("gone")]
    if len(changes) < _CHANGES_TO_LEARN:
        return None
    gaps = [(newer - older).total_seconds() for newer, older in pairwise(changes)]
    usual = max(median(gaps), feed.every)
    silent = (now - changes[0]).total_seconds()
    if silent <= _LATE_TIMES * usual:
        return None
    figures = {"usual_gap_seconds": round(usual), "silent_seconds": round(silent)}
    reason = f"It usually changes every {_duration(usual)}; it last did {_ago(now, changes[0])}."
    return FeedHealth("late", reason, figures)


def _check_stale(feed: MonitoredFeed, _runs: Sequence[PastRun], now: datetime) -> FeedHealth | None:
    """A dead feed, by the age that the provider gives: known at the first fetch."""
    if feed.every is None or not feed.last_modified:
        return None
    try:
        modified = parsedate_to_datetime(feed.last_modified)
    except ValueError:
        return None
    if modified.tzinfo is None or now - modified < max(_OLD, timedelta(seconds=10 * feed.every)):
        return None
    reason = f"The provider last changed it {_ago(now, modified)}."
    return FeedHealth("late", reason, {"last_modified": feed.last_modified})


_CHECKS: Final[tuple[_Check, ...]] = (
    _check_failing,
    _check_unreadable,
    _check_drifted,
    _check_quarantined,
    _check_empty,
    _check_overdue,
    _check_silent,
    _check_stale,
)
"""The worst first."""


def _ago(now: datetime, then: datetime) -> str:
    return f"{_duration((now - then).total_seconds())} ago"


def _duration(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
