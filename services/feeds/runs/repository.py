"""SQL of runs and of the turns at providers."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.feeds.health.assessment import PastRun
from services.feeds.runs.models import (
    PROVIDER,
    RUN,
    ClaimedRun,
    NewRun,
    QueuedRun,
    RunState,
    RunSummary,
    StoredDocument,
)
from services.feeds.subscriptions.models import FEED
from shared.database import PLATFORM
from shared.errors import NotFound
from shared.leases import LeasedTable
from shared.pagination import Page, paginate

RUNS: Final = LeasedTable(RUN, lease=timedelta(seconds=15))

_NOW: Final = sa.func.now()
_IS_OPEN: Final = RUN.c.state.in_((RunState.QUEUED, RunState.RUNNING))
"""Runs of each feed that stay whatever their age: its habits are learned from them."""
_SUMMARY: Final = (
    sa.select(
        RUN.c.id,
        RUN.c.feed_id,
        FEED.c.name.label("feed"),
        RUN.c.tenant,
        RUN.c.state,
        RUN.c.input,
        RUN.c.payload,
        RUN.c.attempts,
        RUN.c.report,
        RUN.c.error,
        RUN.c.queued_at,
        RUN.c.started_at,
        RUN.c.finished_at,
        RUN.c.requested_by,
    )
    .join(FEED, FEED.c.id == RUN.c.feed_id)
    .order_by(RUN.c.queued_at.desc(), RUN.c.id.desc())
)


# Runs


def insert_run(session: Session, run: NewRun) -> UUID:
    """Add a run that waits for a worker; its id."""
    statement = sa.insert(RUN).values(
        id=uuid4(),
        tenant=run.tenant,
        feed_id=run.feed_id,
        state=RunState.QUEUED,
        input=run.input,
        payload=run.payload,
        part=None if run.payload is None else {},
        confirmed=run.is_confirmed,
        observed_at=run.observed_at,
        requested_by=run.actor,
    )
    run_id: UUID = session.execute(statement.returning(RUN.c.id)).scalar_one()
    return run_id


def get_run(session: Session, run_id: UUID) -> RunSummary:
    """A run.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(_SUMMARY.where(RUN.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id}.")
    return _summary(row)


def list_runs(
    session: Session,
    *,
    feed_id: UUID | None,
    before: datetime | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Page[RunSummary]:
    """Runs, newest first.

    Args:
        session: of the tenant.
        feed_id: of this feed only.
        before: only runs that were queued before this time.
        after: the place of the last run of the page before.
        limit: most runs.
    """
    query = _SUMMARY.limit(limit + 1)
    if feed_id is not None:
        query = query.where(RUN.c.feed_id == feed_id)
    if before is not None:
        query = query.where(RUN.c.queued_at < before)
    if after is not None:
        query = query.where(sa.tuple_(RUN.c.queued_at, RUN.c.id) < after)
    runs = [_summary(row) for row in session.execute(query)]
    return paginate(runs, limit, lambda run: (run.queued_at, run.id))


def _summary(row: Any) -> RunSummary:
    return RunSummary(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public name


def list_ended_runs(session: Session, feed_id: UUID, limit: int) -> list[PastRun]:
    """A feed's runs that ended, newest first."""
    query = (
        sa.select(RUN.c.state, RUN.c.finished_at, RUN.c.report, RUN.c.error)
        .where(RUN.c.feed_id == feed_id, RUN.c.finished_at.is_not(None))
        .order_by(RUN.c.queued_at.desc())
        .limit(limit)
    )
    return [
        PastRun(row.state, row.finished_at, row.report or {}, row.error or {})
        for row in session.execute(query)
    ]


def insert_due_runs(
    session: Session,
    *,
    observed_at: datetime,
    actor: str,
    limit: int,
    next_time: Callable[[UUID, int, datetime], datetime],
) -> list[QueuedRun]:
    """Add a run for each feed that is due and has none open; move each feed's next time on.

    Args:
        session: of the platform.
        observed_at: now.
        actor: starts them.
        limit: at most so many.
        next_time: of a feed's id, its cadence in seconds, and now.
    """
    has_open_run = sa.exists().where(RUN.c.feed_id == FEED.c.id, _IS_OPEN)
    due = (
        sa.select(FEED.c.id, FEED.c.tenant, FEED.c.every_seconds)
        .where(FEED.c.enabled, FEED.c.url.is_not(None), FEED.c.next_run_at <= _NOW, ~has_open_run)
        .order_by(FEED.c.next_run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    queued = []
    for feed in session.execute(due).all():
        next_run_at = next_time(feed.id, feed.every_seconds, observed_at)
        session.execute(sa.update(FEED).where(FEED.c.id == feed.id).values(next_run_at=next_run_at))
        run_id = insert_run(session, NewRun(feed.tenant, feed.id, actor, observed_at))
        queued.append(QueuedRun(run_id, feed.tenant))
    return queued


def list_payloads(session: Session) -> set[str]:
    """Digests of payloads that may still be needed.

    Needed are those that a feed is at, that a run works on, or that are younger than the feed's
    retention.
    """
    is_young = RUN.c.queued_at > _NOW - sa.func.make_interval(0, 0, 0, FEED.c.retention_days)
    of_runs = (
        sa.select(RUN.c.payload)
        .join(FEED, FEED.c.id == RUN.c.feed_id)
        .where(sa.or_(is_young, _IS_OPEN, RUN.c.part.is_not(None)))
    )
    query = of_runs.union(sa.select(FEED.c.payload))
    return {digest for digest in session.scalars(query) if digest is not None}


# Leases


def claim_run(session: Session, run_id: UUID) -> ClaimedRun | None:
    """Begin a run, or take it over from a lost worker; None when it is done or has a worker."""
    # A run that was running and can be claimed has lost its worker.
    deaths = RUN.c.deaths + sa.case((RUN.c.state == RunState.RUNNING, 1), else_=0)
    rows = RUNS.claim(session, uuid4(), where=RUN.c.id == run_id, values={"deaths": deaths})
    return _claimed_run(rows[0]) if rows else None


def _claimed_run(row: sa.Row[Any]) -> ClaimedRun:
    pinned = None
    if row.part is not None:
        pinned = StoredDocument(
            payload=row.payload,
            format=row.part.get("format"),
            cursor=row.part.get("cursor"),
            name=row.part.get("name", ""),
        )
    return ClaimedRun(
        id=row.id,
        tenant=row.tenant,
        feed_id=row.feed_id,
        holder=row.holder,
        input=row.input,
        pinned=pinned,
        is_confirmed=row.confirmed,
        deaths=row.deaths,
        failures=row.failures,
        observed_at=row.observed_at,
        report=row.report,
    )


def pin_document(session: Session, run: ClaimedRun, document: StoredDocument) -> None:
    """Fix the document that the run reads, so that another attempt reads the same.

    Raises:
        LeaseLost: another worker has the run.
    """
    part = {"name": document.name, "format": document.format, "cursor": document.cursor}
    RUNS.change(session, run.holder, run.id, {"payload": document.payload, "part": part})


def unpin_document(session: Session, run: ClaimedRun, report: dict[str, Any]) -> None:
    """The pinned document is published: the run goes on behind it.

    Raises:
        LeaseLost: another worker has the run.
    """
    RUNS.change(session, run.holder, run.id, {"part": None, "report": report})


def lost_runs(session: Session, limit: int = 1000) -> list[QueuedRun]:
    """Runs that could be worked on and are not: their message was lost, or their worker."""
    query = (
        sa.select(RUN.c.id, RUN.c.tenant)
        .where(RUNS.claimable)
        .order_by(RUN.c.next_attempt_at)
        .limit(limit)
    )
    return [QueuedRun(*row) for row in session.execute(query)]


# Providers and machines


def take_turn(session: Session, host: str, interval: float) -> float:
    """Take the next turn at a provider's host.

    Args:
        session: of the platform.
        host: all feeds of it take turns.
        interval: least seconds between two visits.

    Returns:
        0 when the turn was taken, otherwise the seconds until one is free.
    """
    row = {"tenant": PLATFORM, "host": host, "next_visit_at": _NOW}
    session.execute(insert(PROVIDER).values(**row).on_conflict_do_nothing())
    seconds = sa.func.extract("epoch", PROVIDER.c.next_visit_at - _NOW)
    query = sa.select(seconds).where(PROVIDER.c.host == host).with_for_update()
    wait = max(0.0, float(session.scalar(query) or 0.0))
    if wait == 0.0:
        postpone_visits(session, host, interval)
    return wait


def postpone_visits(session: Session, host: str, seconds: float) -> None:
    """Do not visit a host for some seconds."""
    later = _NOW + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    changed = {"next_visit_at": sa.func.greatest(PROVIDER.c.next_visit_at, later)}
    statement = insert(PROVIDER).values(tenant=PLATFORM, host=host, next_visit_at=later)
    session.execute(statement.on_conflict_do_update(index_elements=["host"], set_=changed))


def lock_slot(connection: psycopg.Connection, name: str, slot: int) -> bool:
    """Take a numbered slot for as long as the connection lives; False when it is taken."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtext(%s), %s)", (name, slot)
    ).fetchone()
    return bool(row and row[0])
