"""Full statements: a feed says everything again.

A full statement says everything that a feed lists; what the feed asserted before and does not list
now is gone. It repairs whatever was lost on the way.
"""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.feeds.quotas.limits import RUNS
from services.feeds.runs.models import CHECK, NewRun, QueuedRun, RunSummary
from services.feeds.runs.repository import records
from services.feeds.runs.service import SYSTEM, enqueue_run, enqueued
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed
from shared.auth import Principal
from shared.database import PLATFORM, Database
from shared.errors import Conflict
from shared.quotas import spend
from shared.settings import load_settings

_CHECKS_AT_ONCE: Final = 10


def resync(database: Database, principal: Principal, feed_id: UUID) -> RunSummary:
    """Let a feed say everything again.

    Raises:
        Conflict: it has never been read, and has no address.
    """
    with database.transaction(principal.tenant) as session:
        feed = subscriptions.load_own_feed(session, principal.tenant, feed_id)
        if feed.payload is None and feed.url is None:
            raise Conflict(f"Nothing of {feed.name} is stored, and it has no address.")
        run_id = request_statement(
            session, feed, principal.actor, f"{principal.actor} asked for it."
        )
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


def request_statement(session: Session, feed: Feed, actor: str, reason: str) -> UUID:
    """Add a run that says everything again, unless one waits; its id.

    A feed has one such run waiting at a time, however often it is requested. Whichever run of the
    feed begins next says everything, too.
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
    if actor != SYSTEM:
        spend(session, feed.tenant, RUNS)
    return records.insert_run(session, run)
