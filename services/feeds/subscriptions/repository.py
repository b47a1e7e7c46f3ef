"""The feeds service's SQL."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.feeds.subscriptions.models import FEED, PROVIDER, RUN
from shared.database import PLATFORM
from shared.errors import Conflict, NotFound

LEASE: Final = timedelta(seconds=15)
"""A run whose worker has not been heard of for this long is somebody else's."""

_NOW: Final = sa.func.now()
_OPEN: Final = RUN.c.state.in_(("queued", "running"))
# A run may be taken when it waits and its time has come, or when its worker is gone.
_TAKEABLE: Final = sa.or_(
    sa.and_(RUN.c.state == "queued", RUN.c.next_attempt_at <= _NOW),
    sa.and_(RUN.c.state == "running", RUN.c.lease_until < _NOW),
)
_RUN: Final = sa.select(RUN, FEED.c.name.label("feed")).join(FEED, FEED.c.id == RUN.c.feed_id)


def insert_feed(session: Session, values: dict[str, Any]) -> sa.Row[Any]:
    """A new feed.

    Raises:
        Conflict: the tenant has one of that name.
    """
    try:
        with session.begin_nested():
            return session.execute(sa.insert(FEED).values(**values).returning(FEED)).one()
    except IntegrityError as error:
        raise Conflict(
            f"There is a feed named {values['name']!r} already.", field="name"
        ) from error


def get_feed(session: Session, feed_id: UUID) -> sa.Row[Any]:
    """A feed of the tenant, or a public one.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(sa.select(FEED).where(FEED.c.id == feed_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id}.")
    return row


def own_feed(session: Session, tenant: str, feed_id: UUID) -> sa.Row[Any]:
    """A feed that the tenant itself runs.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    mine = sa.and_(FEED.c.id == feed_id, FEED.c.tenant == tenant)
    row = session.execute(sa.select(FEED).where(mine)).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id} that this tenant may change.")
    return row


def feed_named(session: Session, tenant: str, name: str) -> sa.Row[Any] | None:
    """The tenant's own feed of a name, locked, so that two uploads do not make two."""
    query = sa.select(FEED).where(FEED.c.tenant == tenant, FEED.c.name == name).with_for_update()
    return session.execute(query).one_or_none()


def list_feeds(session: Session, after: UUID | None, limit: int) -> Sequence[sa.Row[Any]]:
    """Feeds in the order of their ids."""
    query = sa.select(FEED).order_by(FEED.c.id).limit(limit)
    return session.execute(query if after is None else query.where(FEED.c.id > after)).all()


def update_feed(
    session: Session, tenant: str, feed_id: UUID, values: dict[str, Any]
) -> sa.Row[Any]:
    """Change a feed of the tenant.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    mine = sa.and_(FEED.c.id == feed_id, FEED.c.tenant == tenant)
    row = session.execute(
        sa.update(FEED).where(mine).values(**values).returning(FEED)
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id} that this tenant may change.")
    return row


def delete_feed(session: Session, tenant: str, feed_id: UUID) -> None:
    """Remove a feed of the tenant and its runs.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    mine = sa.and_(FEED.c.id == feed_id, FEED.c.tenant == tenant)
    if session.execute(sa.delete(FEED).where(mine).returning(FEED.c.id)).one_or_none() is None:
        raise NotFound(f"There is no feed {feed_id} that this tenant may delete.")


def last_runs(session: Session, feed_id: UUID, limit: int) -> Sequence[Any]:
    """A feed's runs that ended, newest first."""
    query = sa.select(RUN.c.state, RUN.c.finished_at, RUN.c.report, RUN.c.error)
    ended = sa.and_(RUN.c.feed_id == feed_id, RUN.c.finished_at.is_not(None))
    return session.execute(query.where(ended).order_by(RUN.c.queued_at.desc()).limit(limit)).all()


def watched_feeds(session: Session, after: UUID | None, limit: int) -> Sequence[UUID]:
    """Ids of feeds that are fetched by themselves, in their order, beginning after one."""
    query = (
        sa.select(FEED.c.id)
        .where(FEED.c.enabled, FEED.c.every_seconds.is_not(None))
        .order_by(FEED.c.id)
    )
    return session.scalars(
        (query if after is None else query.where(FEED.c.id > after)).limit(limit)
    ).all()


def insert_run(
    session: Session, feed: sa.Row[Any], *, actor: str, observed_at: datetime, **values: Any
) -> UUID:
    """A run that waits for a worker; it fetches, unless `input` says that it has its payload."""
    row = {"tenant": feed.tenant, "feed_id": feed.id, "observed_at": observed_at, **values}
    statement = sa.insert(RUN).values(id=uuid4(), state="queued", requested_by=actor, **row)
    run_id: UUID = session.execute(statement.returning(RUN.c.id)).scalar_one()
    return run_id


def get_run(session: Session, run_id: UUID) -> sa.Row[Any]:
    """A run with its feed's name.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(_RUN.where(RUN.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id}.")
    return row


def list_runs(
    session: Session, feed_id: UUID | None, before: datetime | None, limit: int
) -> Sequence[sa.Row[Any]]:
    """Runs, newest first."""
    query = _RUN.order_by(RUN.c.queued_at.desc()).limit(limit)
    if feed_id is not None:
        query = query.where(RUN.c.feed_id == feed_id)
    return session.execute(query if before is None else query.where(RUN.c.queued_at < before)).all()


def take_run(session: Session, run_id: UUID) -> sa.Row[Any] | None:
    """Begin a run, or take it over from a worker that is gone; None when it is done or in good hands."""
    died = sa.case((RUN.c.state == "running", 1), else_=0)
    statement = (
        sa.update(RUN)
        .where(RUN.c.id == run_id, _TAKEABLE)
        .values(
            state="running",
            attempts=RUN.c.attempts + 1,
            deaths=RUN.c.deaths + died,
            lease_until=_NOW + LEASE,
            started_at=sa.func.coalesce(RUN.c.started_at, _NOW),
        )
        .returning(RUN)
    )
    return session.execute(statement).one_or_none()


def renew_lease(session: Session, run_id: UUID, attempt: int) -> bool:
    """Say that a run is still worked on; False when somebody else took it over."""
    return change_run(session, run_id, attempt, {"lease_until": _NOW + LEASE})


def change_run(session: Session, run_id: UUID, attempt: int, values: dict[str, Any]) -> bool:
    """Write what became of a run; False when somebody else took it over, whose outcome then counts."""
    mine = sa.and_(RUN.c.id == run_id, RUN.c.attempts == attempt, RUN.c.state == "running")
    statement = sa.update(RUN).where(mine).values(**values).returning(RUN.c.id)
    return session.execute(statement).one_or_none() is not None


def visit(session: Session, host: str, interval: float) -> float:
    """Take the next turn at a provider's host; seconds until one is free, 0 when this one was.

    Args:
        session: of the platform.
        host: whom all feeds of it are polite to together.
        interval: least seconds between two visits.
    """
    row = {"tenant": PLATFORM, "host": host, "next_visit_at": _NOW}
    session.execute(insert(PROVIDER).values(**row).on_conflict_do_nothing())
    waiting = sa.func.extract("epoch", PROVIDER.c.next_visit_at - _NOW)
    found = session.scalar(sa.select(waiting).where(PROVIDER.c.host == host).with_for_update())
    wait = max(0.0, float(found or 0.0))
    if wait == 0.0:
        keep_away(session, host, interval)
    return wait


def lock_place(connection: psycopg.Connection, name: str, place: int) -> bool:
    """Take a numbered place for as long as the connection lives; False when it is taken."""
    found = connection.execute(
        "SELECT pg_try_advisory_lock(hashtext(%s), %s)", (name, place)
    ).fetchone()
    return bool(found and found[0])


def keep_away(session: Session, host: str, seconds: float) -> None:
    """Do not visit a host for some seconds."""
    later = _NOW + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    changed = {"next_visit_at": sa.func.greatest(PROVIDER.c.next_visit_at, later)}
    statement = insert(PROVIDER).values(tenant=PLATFORM, host=host, next_visit_at=later)
    session.execute(statement.on_conflict_do_update(index_elements=["host"], set_=changed))


def wanted_payloads(session: Session) -> set[str]:
    """Digests of payloads that a feed is at, that a run works on, or that are younger than the feed's retention."""
    young = RUN.c.queued_at > _NOW - sa.func.make_interval(0, 0, 0, FEED.c.retention_days)
    of_runs = (
        sa.select(RUN.c.payload)
        .join(FEED, FEED.c.id == RUN.c.feed_id)
        .where(sa.or_(young, _OPEN, RUN.c.part.is_not(None)))
    )
    both = of_runs.union(sa.select(FEED.c.payload))
    return {digest for digest in session.scalars(both) if digest is not None}


def wanted_snapshots(session: Session) -> set[str]:
    """The file of each feed's version, as `<feed id>/<name>`."""
    query = sa.select(FEED.c.id, FEED.c.version).where(FEED.c.version.is_not(None))
    return {f"{row.id}/{row.version}" for row in session.execute(query)}


def prune_runs(session: Session, days: int) -> int:
    """Forget runs older than `days`; how many. Of each feed the last hundred stay, to learn its habits from."""
    newer = sa.func.row_number().over(partition_by=RUN.c.feed_id, order_by=RUN.c.queued_at.desc())
    ranked = sa.select(RUN.c.id, newer.label("rank")).subquery()
    old = sa.and_(
        RUN.c.finished_at < _NOW - timedelta(days=days),
        RUN.c.id.in_(sa.select(ranked.c.id).where(ranked.c.rank > 100)),
    )
    return len(session.execute(sa.delete(RUN).where(old).returning(RUN.c.id)).all())


def start_due(
    session: Session,
    observed_at: datetime,
    actor: str,
    limit: int,
    next_time: Callable[[UUID, int, datetime], datetime],
) -> list[tuple[UUID, str]]:
    """Make a run for each feed that is due and has none open; move each feed's next time on.

    Args:
        session: of the platform.
        observed_at: now.
        actor: who starts them.
        limit: at most so many.
        next_time: of a feed's id, its cadence in seconds, and now.

    Returns:
        Run id and tenant of each.
    """
    busy = sa.exists().where(RUN.c.feed_id == FEED.c.id, _OPEN)
    due = (
        sa.select(FEED.c.id)
        .where(FEED.c.enabled, FEED.c.url.is_not(None), FEED.c.next_run_at <= _NOW, ~busy)
        .order_by(FEED.c.next_run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    feeds = session.execute(sa.select(FEED).where(FEED.c.id.in_(due))).all()
    for feed in feeds:
        at = next_time(feed.id, feed.every_seconds, observed_at)
        session.execute(sa.update(FEED).where(FEED.c.id == feed.id).values(next_run_at=at))
    return [
        (insert_run(session, feed, actor=actor, observed_at=observed_at), feed.tenant)
        for feed in feeds
    ]


def lost_runs(session: Session, limit: int = 1000) -> Sequence[sa.Row[Any]]:
    """Runs that could be worked on and are not: their message was lost, or their worker."""
    query: sa.Select[Any] = (
        sa.select(RUN.c.id, RUN.c.tenant)
        .where(_TAKEABLE)
        .order_by(RUN.c.next_attempt_at)
        .limit(limit)
    )
    return session.execute(query.order_by(RUN.c.next_attempt_at).limit(limit)).all()
