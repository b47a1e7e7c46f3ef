"""Full statements, and what became of what was published.

A full statement says everything that a feed lists; what the feed asserted before and does not list
now is gone. It repairs whatever was lost on the way.
"""

from typing import Any, Final
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy.orm import Session

from services.feeds.runs.models import CHECK, AppliedCounts, NewRun, QueuedRun, RunSummary
from services.feeds.runs.repository import records
from services.feeds.runs.service import SYSTEM, enqueue_run, enqueued
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed
from shared.auth import Principal
from shared.database import PLATFORM, Database
from shared.errors import Conflict, NotFound
from shared.events.observables import RunApplied
from shared.settings import load_settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

APPLY_SECONDS: Final = 300
"""Seconds after which a run is unconfirmed of which the observables service has said nothing."""
CHECK_CORRECTIONS: Final = Counter(
    "sentineliq_feed_check_corrections",
    "Assertions that a feed's check had to correct; each of them is a loss that nobody noticed.",
)
_CHECKS_AT_ONCE: Final = 10
_UNCONFIRMED: Final = {
    "code": "unconfirmed",
    "message": (
        f"The observables service has not said within {APPLY_SECONDS // 60} minutes that it "
        "applied what this run published."
    ),
}


def resync(database: Database, principal: Principal, feed_id: UUID) -> RunSummary:
    """Let a feed say everything again.

    Raises:
        Conflict: it has never been read, and has no address.
    """
    with database.transaction(principal.tenant) as session:
        feed = subscriptions.load_own_feed(session, principal.tenant, feed_id)
        if feed.payload is None and feed.url is None:
            raise Conflict(f"Nothing of {feed.name} is stored, and it has no address.")
        run_id = _repeat(session, feed, principal.actor, f"{principal.actor} asked for it.")
        subscriptions.audit_feed(session, principal, "feeds.resync", feed)
    return enqueued(database, principal, run_id)


def start_checks(database: Database) -> int:
    """Let feeds say everything again that have not for some days, as a check; how many."""
    days = load_settings().feed_check_days
    if not days:
        return 0
    queued = []
    with database.transaction(PLATFORM) as session:
        subscriptions.spread_checks(session, days)
        for feed in records.lock_unchecked_feeds(session, _CHECKS_AT_ONCE):
            run = NewRun(feed.tenant, feed.id, SYSTEM, "stored", full_reason=CHECK)
            queued.append(QueuedRun(records.insert_run(session, run), feed.tenant))
            # The run postpones it again when it succeeds; a run that fails is not repeated at once.
            subscriptions.postpone_check(session, feed.id, days)
    return sum(enqueue_run(run, SYSTEM) for run in queued)


def give_up_waiting(database: Database) -> int:
    """Let runs be unconfirmed of which the observables service has said nothing; how many."""
    with database.transaction(PLATFORM) as session:
        return records.give_up_waiting(session, APPLY_SECONDS, _UNCONFIRMED)


def account_for(session: Session, applied: RunApplied) -> None:
    """Store what the observables service says about a run, and let be repeated what is missing.

    Args:
        session: of the run's tenant.
        applied: what it says.
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
        reason = (
            f"The run {applied.run_id} is not known here: "
            "the database was put back, or a log has lost records."
        )
        _repeat(session, feed, SYSTEM, reason)
        return
    _count_corrections(feed, run, applied)
    if error is not None:
        reason = f"The run {applied.run_id} is incomplete: {error['message']}"
        if run.full_reason is None:
            _repeat(session, feed, SYSTEM, reason)
        else:
            # One repetition did not help: the next run tries again, and not this minute.
            subscriptions.save_feed(session, feed, {"needs_full_statement": reason})
    elif lost := records.mark_lost_runs(session, applied.run_id):
        reason = f"{lost} runs before {applied.run_id} were published, and never arrived."
        _repeat(session, feed, SYSTEM, reason)


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


def _repeat(session: Session, feed: Feed, actor: str, reason: str) -> UUID:
    """Add a run that says everything again, unless one waits; its id.

    Whichever run of the feed begins next says everything, too.
    """
    subscriptions.lock_feed(session, feed.id)
    subscriptions.save_feed(session, feed, {"needs_full_statement": reason})
    waiting = records.find_queued_statement(session, feed.id)
    if waiting is not None:
        return waiting
    # Collections have no snapshot: they are fetched from their beginning.
    is_stored = feed.snapshot is not None or feed.url is None
    run = NewRun(
        feed.tenant,
        feed.id,
        actor,
        "stored" if is_stored else "fetch",
        full_reason=reason,
    )
    return records.insert_run(session, run)
