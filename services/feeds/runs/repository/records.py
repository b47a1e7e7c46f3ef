"""SQL of runs: add, list, account for."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.feeds.health.assessment import PastRun
from services.feeds.quotas.limits import RUNS
from services.feeds.runs.models import (
    AMENDMENTS,
    PUBLISHED_STATES,
    RESTORABLE_DAYS,
    RUN,
    AppliedCounts,
    DueCheck,
    NewRun,
    QueuedRun,
    RunState,
    RunSummary,
    StoredDocument,
)
from services.feeds.subscriptions.models import FEED
from shared.errors import NotFound, RateExceeded
from shared.frozen_tenants import is_frozen
from shared.pagination import Page, paginate
from shared.quotas import spend

_NOW: Final = sa.func.now()
_IS_OPEN: Final = RUN.c.state.in_((RunState.QUEUED, RunState.RUNNING))
_HAS_PUBLISHED: Final = RUN.c.state.in_((RunState.APPLYING, RunState.UNCONFIRMED))
_SUMMARY: Final = (
    sa.select(
        RUN.c.id,
        RUN.c.feed_id,
        FEED.c.name.label("feed"),
        RUN.c.tenant,
        RUN.c.state,
        RUN.c.input,
        RUN.c.payload,
        RUN.c.file_name,
        RUN.c.attempts,
        sa.case((RUN.c.state == RunState.QUEUED, RUN.c.next_attempt_at)).label("next_attempt_at"),
        RUN.c.report,
        RUN.c.error,
        RUN.c.queued_at,
        RUN.c.started_at,
        RUN.c.finished_at,
        RUN.c.requested_by,
        RUN.c.full_reason,
        RUN.c.applied.label("applied_account"),
        RUN.c.applied_at,
        RUN.c.retracts,
    )
    .join(FEED, FEED.c.id == RUN.c.feed_id)
    .order_by(RUN.c.queued_at.desc(), RUN.c.id.desc())
)


def insert_run(session: Session, run: NewRun, *, repeats: UUID | None = None) -> UUID:
    """Add a run that waits behind the others of its feed; its id. The caller has locked the feed.

    The moment it speaks for is set when it begins.

    Args:
        session: of the run's tenant.
        run: to be added.
        repeats: a run that has ended, whose place it takes: before those that were queued later.
    """
    of_feed = sa.select(sa.func.max(RUN.c.queued_at)).where(RUN.c.feed_id == run.feed_id)
    queued_at: sa.ColumnElement[Any] = sa.func.clock_timestamp()
    if repeats is not None:
        of_feed = sa.select(RUN.c.queued_at).where(RUN.c.id == repeats)
        queued_at = sa.null()
    behind = of_feed.scalar_subquery() + sa.text("interval '1 microsecond'")
    statement = sa.insert(RUN).values(
        id=run.id or uuid4(),
        tenant=run.tenant,
        feed_id=run.feed_id,
        state=RunState.QUEUED,
        input=run.input,
        payload=run.payload,
        file_name=run.file_name,
        part=None if run.payload is None else {},
        confirmed=run.is_confirmed,
        full_reason=run.full_reason,
        retracts=run.retracts,
        observed_at=_NOW,
        queued_at=sa.func.greatest(queued_at, behind),
        requested_by=run.actor,
    )
    run_id: UUID = session.execute(statement.returning(RUN.c.id)).scalar_one()
    return run_id


def has_run(session: Session, run_id: UUID) -> bool:
    """Whether there is a run with an id."""
    return session.scalar(sa.select(RUN.c.id).where(RUN.c.id == run_id)) is not None


def renew_queued_fetch(session: Session, feed_id: UUID) -> UUID | None:
    """The fetch of a feed that waits already, which is due at once then; None if none does.

    The caller has locked the feed.
    """
    waiting = (
        sa.select(RUN.c.id)
        .where(RUN.c.feed_id == feed_id, RUN.c.state == RunState.QUEUED, RUN.c.input == "fetch")
        .order_by(RUN.c.queued_at, RUN.c.id)
        .limit(1)
        .scalar_subquery()
    )
    statement = sa.update(RUN).where(RUN.c.id == waiting).values(next_attempt_at=_NOW)
    return session.execute(statement.returning(RUN.c.id)).scalar_one_or_none()


def find_queued_statement(session: Session, feed_id: UUID) -> UUID | None:
    """A run of a feed that waits to say everything again; None if none does."""
    waiting = sa.and_(
        RUN.c.feed_id == feed_id, RUN.c.state == RunState.QUEUED, RUN.c.full_reason.is_not(None)
    )
    query = sa.select(RUN.c.id).where(waiting).order_by(RUN.c.queued_at).limit(1)
    return session.execute(query).scalar_one_or_none()


def newest_statement_state(session: Session, feed_id: UUID, since: datetime) -> str | None:
    """The state of a feed's newest run that says everything; None if none was queued since then."""
    is_later = sa.and_(RUN.c.feed_id == feed_id, RUN.c.queued_at > since)
    query = (
        sa.select(RUN.c.state)
        .where(is_later, RUN.c.full_reason.is_not(None))
        .order_by(RUN.c.queued_at.desc())
        .limit(1)
    )
    return session.execute(query).scalar_one_or_none()


def get_run(session: Session, run_id: UUID) -> RunSummary:
    """A run.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(_SUMMARY.where(RUN.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id}.")
    return _summary(row)


def find_refused_document(session: Session, feed_id: UUID) -> StoredDocument | None:
    """The document that a feed's newest run was given and refused; None if that run is no such."""
    query = (
        sa.select(RUN.c.input, RUN.c.state, RUN.c.payload, RUN.c.file_name)
        .where(RUN.c.feed_id == feed_id)
        .order_by(RUN.c.queued_at.desc(), RUN.c.id.desc())
        .limit(1)
    )
    run = session.execute(query).one_or_none()
    if run is None or run.payload is None:
        return None
    if run.input not in {"upload", "stored"} or run.state != RunState.FAILED:
        return None
    return StoredDocument(run.payload, file_name=run.file_name)


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
    """A feed's runs that ended or published all they had, newest first.

    Runs that take back or restore what the feed has said are left out: people ask for them, and
    they tell nothing about the provider.

    What becomes of what was published is not the provider's doing: such a run succeeded here.
    """
    state = sa.case((_HAS_PUBLISHED, RunState.SUCCEEDED), else_=RUN.c.state).label("state")
    query = (
        sa.select(state, RUN.c.finished_at, RUN.c.report, RUN.c.error, RUN.c.failures)
        .where(
            RUN.c.feed_id == feed_id,
            RUN.c.finished_at.is_not(None),
            RUN.c.input.not_in(AMENDMENTS),
        )
        .order_by(RUN.c.queued_at.desc())
        .limit(limit)
    )
    return [
        PastRun(row.state, row.finished_at, row.report or {}, row.error or {}, row.failures)
        for row in session.execute(query)
    ]


def insert_due_runs(
    session: Session,
    *,
    actor: str,
    limit: int,
    next_time: Callable[[UUID, int, datetime], datetime],
) -> list[QueuedRun]:
    """Add a run for each feed that is due and has none open; move each feed's next time on.

    Args:
        session: of the platform.
        actor: starts them.
        limit: at most so many. A feed whose tenant has had all its runs of the hour comes later.
        next_time: of a feed's id, its cadence in seconds, and now.
    """
    has_open_run = sa.exists().where(RUN.c.feed_id == FEED.c.id, _IS_OPEN)
    due = (
        sa.select(FEED.c.id, FEED.c.tenant, FEED.c.every_seconds, _NOW.label("time"))
        .where(FEED.c.enabled, FEED.c.url.is_not(None), FEED.c.next_run_at <= _NOW, ~has_open_run)
        .where(~is_frozen(FEED.c.tenant))
        .order_by(FEED.c.next_run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    queued = []
    # In the order of tenants, in which all who use the quotas of several lock them.
    for feed in sorted(session.execute(due).all(), key=lambda feed: (feed.tenant, feed.id)):
        next_run_at = next_time(feed.id, feed.every_seconds, feed.time)
        wait = _spend_run(session, feed.tenant)
        if wait:
            next_run_at = max(next_run_at, feed.time + timedelta(seconds=wait))
        session.execute(sa.update(FEED).where(FEED.c.id == feed.id).values(next_run_at=next_run_at))
        if not wait:
            run_id = insert_run(session, NewRun(feed.tenant, feed.id, actor))
            queued.append(QueuedRun(run_id, feed.tenant))
    return queued


def _spend_run(session: Session, tenant: str) -> float:
    """Use a run of a tenant's quota; the seconds to wait when it is used up."""
    try:
        spend(session, tenant, RUNS)
    except RateExceeded as error:
        return error.retry_after or 1.0
    return 0.0


def list_payloads(session: Session) -> set[str]:
    """Digests of payloads that may still be needed.

    Needed are those that a feed is at, that a run works on, that are younger than the feed's
    retention, that were taken back and may be restored, or that a list would go back to.
    """
    may_be_restored = sa.and_(
        RUN.c.input == "retraction", RUN.c.queued_at > _NOW - timedelta(days=RESTORABLE_DAYS)
    )
    is_young = RUN.c.queued_at > _NOW - sa.func.make_interval(0, 0, 0, FEED.c.retention_days)
    of_runs = (
        sa.select(RUN.c.payload)
        .join(FEED, FEED.c.id == RUN.c.feed_id)
        .where(sa.or_(is_young, _IS_OPEN, may_be_restored))
    )
    query = of_runs.union(sa.select(FEED.c.payload), _documents_before())
    return {digest for digest in session.scalars(query) if digest is not None}


def _documents_before() -> sa.Select[Any]:
    """The document of each list before the one that it is at: a take-back goes back to it."""
    before = (
        sa.select(RUN.c.feed_id, RUN.c.payload)
        .join(FEED, FEED.c.id == RUN.c.feed_id)
        .where(
            FEED.c.kind == "snapshot",
            RUN.c.payload.is_not(None),
            RUN.c.payload != FEED.c.payload,
            RUN.c.input != "retraction",
            RUN.c.state.in_(PUBLISHED_STATES),
        )
        .ext(pg.distinct_on(RUN.c.feed_id))
        .order_by(RUN.c.feed_id, RUN.c.queued_at.desc(), RUN.c.id.desc())
        .subquery()
    )
    return sa.select(before.c.payload)


# What became of what was published


def store_applied(
    session: Session,
    feed_id: UUID,
    run_id: UUID,
    counts: AppliedCounts,
    error: dict[str, Any] | None,
) -> RunSummary | None:
    """Store the observables service's account of a run.

    Args:
        session: of the run's tenant.
        feed_id: the feed that the account names: one of another feed says nothing of this run.
        run_id: the run.
        counts: of what was applied.
        error: why the run is unconfirmed; None when all of it was applied.

    Returns:
        The run; None when it is not known.
    """
    state = RunState.UNCONFIRMED if error else RunState.SUCCEEDED
    reason = sa.null() if error is None else sa.cast(error, pg.JSONB)
    values: dict[str, Any] = {
        "applied": asdict(counts),
        "applied_at": _NOW,
        "state": sa.case((_HAS_PUBLISHED, state), else_=RUN.c.state),
        "error": sa.case((_HAS_PUBLISHED, reason), else_=RUN.c.error),
    }
    is_run = sa.and_(RUN.c.id == run_id, RUN.c.feed_id == feed_id)
    statement = sa.update(RUN).where(is_run).values(values)
    if session.execute(statement.returning(RUN.c.id)).one_or_none() is None:
        return None
    return get_run(session, run_id)


def mark_unaccounted(session: Session, run_id: UUID) -> int:
    """Mark older runs of a feed of which nothing was ever said, when one was applied; how many.

    What is published later arrives later: what these runs published is lost.
    """
    applied = RUN.alias("applied_run")
    lost = AppliedCounts("lost", 0, 0, 0, 0, 0)
    is_lost = sa.and_(
        applied.c.id == run_id,
        RUN.c.feed_id == applied.c.feed_id,
        RUN.c.queued_at < applied.c.queued_at,
        RUN.c.state == RunState.UNCONFIRMED,
        RUN.c.applied.is_(None),
    )
    statement = sa.update(RUN).where(is_lost).values(applied=asdict(lost)).returning(RUN.c.id)
    return len(session.execute(statement).all())


def lock_unchecked_feeds(session: Session, limit: int) -> list[DueCheck]:
    """Lists whose check is due and that no run is working on, locked."""
    has_open_run = sa.exists().where(RUN.c.feed_id == FEED.c.id, _IS_OPEN)
    query = (
        sa.select(FEED.c.id, FEED.c.tenant)
        .where(
            FEED.c.enabled,
            FEED.c.kind == "snapshot",
            FEED.c.snapshot.is_not(None),
            FEED.c.check_at <= _NOW,
            ~has_open_run,
        )
        .order_by(FEED.c.check_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return [DueCheck(*row) for row in session.execute(query)]


def mark_unconfirmed(session: Session, seconds: int, error: dict[str, Any]) -> int:
    """Let runs be unconfirmed that have been applying for so long; how many."""
    is_late = sa.and_(
        RUN.c.state == RunState.APPLYING, RUN.c.finished_at < _NOW - timedelta(seconds=seconds)
    )
    values = {"state": RunState.UNCONFIRMED, "error": error}
    statement = sa.update(RUN).where(is_late).values(values).returning(RUN.c.id)
    return len(session.execute(statement).all())
