"""Accounts of runs: what the observables service has applied of what they published."""

from datetime import datetime, timedelta
from typing import Any, Final

from prometheus_client import Counter
from sqlalchemy.orm import Session

from services.feeds.runs.full_statements import request_statement
from services.feeds.runs.models import CHECK, AppliedCounts, RunState, RunSummary
from services.feeds.runs.repository import claims, records
from services.feeds.runs.service import SYSTEM
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed
from shared.database import PLATFORM, Database
from shared.errors import NotFound
from shared.events.observables import RunApplied
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

APPLY_SECONDS: Final = 300
"""Seconds after which a run is unconfirmed of which the observables service has said nothing."""
CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far the clocks of processes may differ."""
CHECK_CORRECTIONS: Final = Counter(
    "sentineliq_feed_check_corrections",
    "Assertions that a feed's check had to correct; each of them is a loss that nobody noticed.",
)
_UNCONFIRMED: Final = {
    "code": "unconfirmed",
    "message": (
        f"The observables service has not said within {APPLY_SECONDS // 60} minutes that it "
        "applied what this run published."
    ),
}


def mark_unconfirmed(database: Database) -> int:
    """Let runs be unconfirmed of which the observables service has said nothing; how many."""
    with database.transaction(PLATFORM) as session:
        return records.mark_unconfirmed(session, APPLY_SECONDS, _UNCONFIRMED)


def account_for(session: Session, applied: RunApplied, stated_at: datetime | None) -> None:
    """Store what the observables service says about a run, and let be repeated what is missing.

    Args:
        session: of the run's tenant.
        applied: what it says.
        stated_at: when it stated that; None if that is not known.
    """
    missing = sum(applied.missing.values())
    counts = AppliedCounts(
        applied.state,
        applied.chunks,
        applied.received,
        applied.rejected,
        applied.corrected,
        missing,
    )
    error = None
    if applied.state != "applied":
        error = {"code": "incomplete", "message": f"{missing} of the run's chunks did not arrive."}
    run = records.store_applied(session, applied.source_id, applied.run_id, counts, error)
    try:
        feed = subscriptions.lock_feed(session, applied.source_id)
    except NotFound:
        return  # it was deleted meanwhile
    if run is None:
        _account_for_unknown(session, feed, applied, stated_at)
        return
    _count_corrections(feed, run, applied)
    if error is not None:
        reason = f"The run {applied.run_id} is incomplete: {error['message']}"
        if run.full_reason is None:
            request_statement(session, feed, SYSTEM, reason)
        else:
            # One repetition did not help: the next run tries again, and not this minute.
            subscriptions.save_feed(session, feed, {"needs_full_statement": reason})
    elif count := records.mark_unaccounted(session, applied.run_id):
        reason = f"{count} runs before {applied.run_id} were published, and never arrived."
        request_statement(session, feed, SYSTEM, reason)


def _account_for_unknown(
    session: Session, feed: Feed, applied: RunApplied, stated_at: datetime | None
) -> None:
    """Let a feed say everything again that has a run which is not known here.

    A full statement that was queued later than the account answers it already.
    """
    if claims.find_feed(session, applied.run_id) is not None:
        log.warning("run.foreign_account", feed=str(feed.id), run=str(applied.run_id))
        return
    reason = (
        f"The run {applied.run_id} is not known here: "
        "the database was put back, or a log has lost records."
    )
    state = None
    if stated_at is not None:
        state = records.newest_statement_state(session, feed.id, stated_at + CLOCK_SKEW)
    if state in {RunState.QUEUED, RunState.RUNNING}:
        # Should it fail, the next run of the feed says everything.
        subscriptions.save_feed(session, feed, {"needs_full_statement": reason})
    elif state not in {RunState.APPLYING, RunState.SUCCEEDED}:
        request_statement(session, feed, SYSTEM, reason)


def _count_corrections(feed: Feed, run: RunSummary, applied: RunApplied) -> None:
    """Count what a check corrected beyond what had changed in the feed's document."""
    if run.full_reason != CHECK:
        return
    report: dict[str, Any] = run.report or {}
    # What is new in the document is no correction to the observables service already.
    corrections = applied.corrected - report.get("gone", 0)
    if corrections > 0:
        CHECK_CORRECTIONS.inc(corrections)
        log.warning(
            "feed.check_corrected", feed=str(feed.id), run=str(run.id), corrections=corrections
        )
