"""SQL of the work on runs: one run of a feed at a time, in the order they were queued."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.feeds.runs.models import RUN, ClaimedRun, QueuedRun, RunState, StoredDocument
from shared.leases import LeasedTable

RUNS: Final = LeasedTable(RUN, lease=timedelta(seconds=15))
_NOW: Final = sa.func.now()


def _is_next() -> sa.ColumnElement[bool]:
    """Whether a run may go before all other runs of its feed that are open.

    A running run goes on: a worker that lost it may have published a part.
    """
    other = RUN.alias("other")
    is_before = sa.or_(
        other.c.state == RunState.RUNNING,
        sa.tuple_(other.c.queued_at, other.c.id) < sa.tuple_(RUN.c.queued_at, RUN.c.id),
    )
    has_other_before = sa.exists().where(
        other.c.feed_id == RUN.c.feed_id,
        other.c.id != RUN.c.id,
        other.c.state.in_((RunState.QUEUED, RunState.RUNNING)),
        is_before,
    )
    return sa.or_(RUN.c.state == RunState.RUNNING, ~has_other_before)


def find_feed(session: Session, run_id: UUID) -> UUID | None:
    """The feed of a run; None when there is no such run any more."""
    query = sa.select(RUN.c.feed_id).where(RUN.c.id == run_id)
    return session.execute(query).scalar_one_or_none()


def claim_run(session: Session, run_id: UUID, worker: str) -> tuple[ClaimedRun, bool] | None:
    """Begin a run, or take it over from a lost worker. The caller has locked the feed.

    Args:
        session: of the run's tenant.
        run_id: the run.
        worker: the process that hands the lease back when it stops.

    Returns:
        The run, and whether it begins; None when it is done, has a worker, or is not the next one
        of its feed.
    """
    begins = sa.select(RUN.c.started_at.is_(None)).where(RUN.c.id == run_id)
    is_first = bool(session.execute(begins).scalar_one_or_none())
    # A run that was running and can be claimed has lost its worker.
    deaths = RUN.c.deaths + sa.case((RUN.c.state == RunState.RUNNING, 1), else_=0)
    rows = RUNS.claim(
        session,
        uuid4(),
        where=sa.and_(RUN.c.id == run_id, _is_next()),
        values={"deaths": deaths, "worker": worker},
    )
    return (_claimed_run(rows[0]), is_first) if rows else None


def begin_run(
    session: Session,
    run: ClaimedRun,
    *,
    moment: datetime,
    full_reason: str | None,
    document: StoredDocument | None,
) -> ClaimedRun:
    """Fix what a run is about, for all its attempts.

    Args:
        session: that claimed it.
        run: the run.
        moment: it speaks for.
        full_reason: why it says everything again; None when it does not.
        document: that it reads; None when it fetches one.
    """
    values: dict[str, Any] = {"observed_at": moment, "full_reason": full_reason}
    if document is not None:
        values |= {"payload": document.payload, "part": {}, "file_name": document.file_name}
    RUNS.change(session, run.holder, run.id, values)
    return replace(run, observed_at=moment, full_reason=full_reason, pinned=document)


def _claimed_run(row: sa.Row[Any]) -> ClaimedRun:
    pinned = None
    if row.part is not None:
        pinned = StoredDocument(
            payload=row.payload,
            format=row.part.get("format"),
            cursor=row.part.get("cursor"),
            name=row.part.get("name", ""),
            file_name=row.file_name,
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
        full_reason=row.full_reason,
        base_revision=row.base_revision,
        progress=row.progress,
        requested_by=row.requested_by,
        report=row.report,
        retracts=row.retracts,
    )


def renew_run(session: Session, run: ClaimedRun, published: int) -> bool:
    """Renew the lease of a run; whether it is still this worker's.

    Args:
        session: of the run's tenant.
        run: the run.
        published: chunks of it so far. More than in any attempt before is progress: the workers
            that died before count no more.
    """
    is_further = RUN.c.progress < published
    values = {
        "progress": sa.func.greatest(RUN.c.progress, published),
        "deaths": sa.case((is_further, 0), else_=RUN.c.deaths),
    }
    return bool(RUNS.renew(session, run.holder, [run.id], values))


def note_base(session: Session, run: ClaimedRun, revision: int, full_reason: str | None) -> None:
    """The run begins to publish a document: note what it compared it with.

    Raises:
        LeaseLost: another worker has the run.
    """
    values = {"base_revision": revision, "full_reason": full_reason}
    RUNS.change(session, run.holder, run.id, values)


def release_runs(session: Session, worker: str) -> int:
    """Give back the runs of a worker that stops, as if it had not claimed them; how many."""
    values = {
        "state": RunState.QUEUED,
        "holder": None,
        "lease_until": None,
        "next_attempt_at": _NOW,
        "attempts": sa.func.greatest(RUN.c.attempts - 1, 0),
    }
    is_owned = sa.and_(RUN.c.state == RunState.RUNNING, RUN.c.worker == worker)
    statement = sa.update(RUN).where(is_owned).values(values).returning(RUN.c.id)
    return len(session.execute(statement).all())


def pin_document(session: Session, run: ClaimedRun, document: StoredDocument) -> None:
    """Fix the document that the run reads, so that another attempt reads the same.

    Raises:
        LeaseLost: another worker has the run.
    """
    part = {"name": document.name, "format": document.format, "cursor": document.cursor}
    RUNS.change(session, run.holder, run.id, {"payload": document.payload, "part": part})


def unpin_document(session: Session, run: ClaimedRun, report: dict[str, Any]) -> None:
    """The pinned page is published: the run goes on behind it.

    Another attempt goes on there as well: it does not begin a collection anew.

    Raises:
        LeaseLost: another worker has the run.
    """
    values = {
        "part": None,
        "report": report,
        "base_revision": None,
        "full_reason": None,
        "deaths": 0,
    }
    RUNS.change(session, run.holder, run.id, values)


def unattended_runs(session: Session, limit: int = 1000) -> list[QueuedRun]:
    """Runs that could be worked on and are not: their message was lost, or their worker."""
    query = (
        sa.select(RUN.c.id, RUN.c.tenant)
        .where(RUNS.claimable, _is_next())
        .order_by(RUN.c.next_attempt_at)
        .limit(limit)
    )
    return [QueuedRun(*row) for row in session.execute(query)]


def lock_worker(session: Session, worker: str) -> None:
    """Let the processes of a worker claim one at a time, until the transaction ends."""
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(worker, 0))))


def waiting_tenants(session: Session) -> list[str]:
    """The tenants that have runs which are due."""
    return RUNS.waiting_tenants(session)


def count_running(session: Session, worker: str) -> dict[str, int]:
    """How many runs of each tenant a worker has."""
    query = (
        sa.select(RUN.c.tenant, sa.func.count())
        .where(RUN.c.state == RunState.RUNNING, RUN.c.worker == worker, RUN.c.lease_until > _NOW)
        .group_by(RUN.c.tenant)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def find_due_run(session: Session, tenant: str) -> UUID | None:
    """A tenant's run that may begin now, of those the one that is due the longest."""
    query = (
        sa.select(RUN.c.id)
        .where(RUN.c.tenant == tenant, RUNS.claimable, _is_next())
        .order_by(sa.func.coalesce(RUN.c.lease_until, RUN.c.next_attempt_at))
        .limit(1)
    )
    return session.execute(query).scalar_one_or_none()


def find_next_run(session: Session, feed_id: UUID) -> QueuedRun | None:
    """The run of a feed that may begin now; None when none waits."""
    query = sa.select(RUN.c.id, RUN.c.tenant).where(
        RUN.c.feed_id == feed_id, RUNS.claimable, _is_next()
    )
    row = session.execute(query).one_or_none()
    return None if row is None else QueuedRun(*row)
