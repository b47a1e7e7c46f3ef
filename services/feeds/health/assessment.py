"""How a feed is doing, told by its last runs and by its own habits: plain functions, no I/O.

A feed that says nothing any more looks like a feed with nothing to say. So each is measured by itself: how often it
used to change, how much it used to list, how much of it could be read.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise, takewhile
from statistics import median
from typing import Any, Final, Literal

State = Literal[
    "healthy", "late", "empty", "shrunk", "drifted", "unauthorised", "unreachable", "gone"
]

LOOKED_AT: Final = 50
"""Runs, newest first."""
_FAILED_RUNS: Final = 2
"""Each of them has been tried several times already."""
_CHANGES_TO_LEARN: Final = 5
_LATE_TIMES: Final = 5
"""Usual gaps between two changes after which a feed is late."""
_OLD: Final = timedelta(days=30)
_DRIFT: Final = 0.5
_MOSTLY_READ: Final = 0.2


@dataclass(frozen=True)
class Past:
    """A run that ended.

    Attributes:
        state: succeeded, unchanged, held or failed.
        error: code, message and, when it was an answer of the provider, `upstream_status`.
        report: see `services.feeds.runs.report.RunReport`.
    """

    state: str
    ended_at: datetime
    report: dict[str, Any]
    error: dict[str, Any]


@dataclass(frozen=True)
class Watched:
    """A feed, as far as its health goes.

    Attributes:
        every: seconds between two fetches; None when it is not fetched by itself.
        listed: observables in its version.
        held: why the last fetch was held back, with what it lists.
        last_modified: what the provider's server said of the last document.
    """

    every: int | None
    created_at: datetime
    listed: int = 0
    held: dict[str, Any] | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Health:
    """A state, one sentence for people, and the figures it was told by."""

    state: State
    reason: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def evidence(self) -> dict[str, Any]:
        """As it is stored and sent."""
        return {"reason": self.reason, **self.figures} if self.reason else {}


def judge(feed: Watched, runs: Sequence[Past], now: datetime) -> Health:
    """The worst that is true of a feed.

    Args:
        feed: the feed.
        runs: its last runs, newest first.
        now: a moment with a zone.
    """
    checks: Iterable[Callable[[Watched, Sequence[Past], datetime], Health | None]] = (
        _failing,
        _drifted,
        _held,
        _empty,
        _late,
        _stale,
    )
    found = (check(feed, runs, now) for check in checks)
    return next((health for health in found if health is not None), Health("healthy"))


def _failing(_feed: Watched, runs: Sequence[Past], _now: datetime) -> Health | None:
    failed = list(takewhile(lambda run: run.state == "failed", runs))
    if not failed or not failed[0].error.get("code", "").startswith(
        ("upstream", "forbidden-target")
    ):
        return None
    error = failed[0].error
    status, message = error.get("upstream_status"), error.get("message", "it failed")
    figures = {
        "failed_runs": len(failed),
        "since": failed[-1].ended_at.isoformat(timespec="seconds"),
    }
    if status in (401, 403, 407):
        return Health(
            "unauthorised", f"{message}: the credentials are missing, wrong or expired.", figures
        )
    if status in (404, 410):
        return Health(
            "gone", f"{message}: the provider has moved the feed or given it up.", figures
        )
    if len(failed) < _FAILED_RUNS:
        return None
    return Health("unreachable", f"{message}; {len(failed)} runs in a row failed.", figures)


def _drifted(_feed: Watched, runs: Sequence[Past], _now: datetime) -> Health | None:
    if not runs:
        return None
    last = runs[0]
    if last.state == "failed":
        # Not the provider's server and not our own parts: then it is the document.
        if last.error.get("code", "").startswith(
            ("upstream", "forbidden", "unavailable", "unworkable")
        ):
            return None
        return Health(
            "drifted", f"The last document could not be read: {last.error.get('message', '')}"
        )
    shares = [
        share for run in runs if run.state == "succeeded" and (share := _unread(run)) is not None
    ]
    if last.state != "succeeded" or len(shares) < 2:
        return None
    usual = median(shares[1:])
    if shares[0] > _DRIFT and usual < _MOSTLY_READ:
        figures = {
            "left_out": round(shares[0], 3),
            "usually": round(usual, 3),
            "dropped": last.report["dropped"],
        }
        return Health(
            "drifted",
            f"{shares[0]:.0%} of the last document could not be read, usually {usual:.0%}.",
            figures,
        )
    return None


def _unread(run: Past) -> float | None:
    """The share of a document that could not be read; None when it held nothing."""
    harmless = ("duplicate", "taken back by the source")
    dropped = sum(
        count for reason, count in run.report.get("dropped", {}).items() if reason not in harmless
    )
    every = dropped + run.report.get("taken", 0)
    return dropped / every if every else None


def _held(feed: Watched, runs: Sequence[Past], _now: datetime) -> Health | None:
    if not feed.held or not runs or runs[0].state != "held":
        return None
    figures: dict[str, Any] = {
        name: feed.held[name] for name in ("listed", "before", "times") if name in feed.held
    }
    return Health(
        "shrunk" if feed.held.get("listed") else "empty", feed.held.get("reason", ""), figures
    )


def _empty(_feed: Watched, runs: Sequence[Past], _now: datetime) -> Health | None:
    told = [run for run in runs if run.state in ("succeeded", "unchanged")]
    if not told or told[0].report.get("taken", 0):
        return None
    usual = [
        run.report["taken"]
        for run in told[1:]
        if run.state == "succeeded" and run.report.get("taken")
    ]
    if told[0].state == "succeeded" and usual:
        return Health("empty", f"The last document names nothing, usually {median(usual):,.0f}.")
    return None


def _late(feed: Watched, runs: Sequence[Past], now: datetime) -> Health | None:
    if feed.every is None:
        return None
    last = runs[0].ended_at if runs else feed.created_at
    if now - last > timedelta(seconds=3 * feed.every + 600):
        return Health(
            "late",
            f"It was to be fetched every {_words(feed.every)}; the last run ended {_ago(now, last)}.",
        )
    changes = [run.ended_at for run in runs if run.report.get("seen") or run.report.get("gone")]
    if len(changes) < _CHANGES_TO_LEARN:
        return None
    gaps = [(newer - older).total_seconds() for newer, older in pairwise(changes)]
    usual, silent = max(median(gaps), feed.every), (now - changes[0]).total_seconds()
    if silent > _LATE_TIMES * usual:
        figures = {"usual_gap_seconds": round(usual), "silent_seconds": round(silent)}
        return Health(
            "late",
            f"It usually changes every {_words(usual)}; it last did {_ago(now, changes[0])}.",
            figures,
        )
    return None


def _stale(feed: Watched, _runs: Sequence[Past], now: datetime) -> Health | None:
    """What the provider itself says of its document's age tells a dead feed at the first fetch."""
    if feed.every is None or not feed.last_modified:
        return None
    try:
        modified = parsedate_to_datetime(feed.last_modified)
    except ValueError:
        return None
    if modified.tzinfo is None or now - modified < max(_OLD, timedelta(seconds=10 * feed.every)):
        return None
    return Health(
        "late",
        f"The provider last changed it {_ago(now, modified)}.",
        {"last_modified": feed.last_modified},
    )


def _ago(now: datetime, then: datetime) -> str:
    return f"{_words((now - then).total_seconds())} ago"


def _words(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
