"""The feeds service's SQL."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.feeds.models import FEED, RUN
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
            return session.execute(sa.insert(FEED).values(id=uuid4(), **values).returning(FEED)).one()
    except IntegrityError as error:
        raise Conflict(f"There is a feed named {values['name']!r} already.", field="name") from error


def get_feed(session: Session, feed_id: UUID) -> sa.Row[Any]:
    """A feed of the tenant, or a public one.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(sa.select(FEED).where(FEED.c.id == feed_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id}.")
    return row


def feed_named(session: Session, tenant: str, name: str) -> sa.Row[Any] | None:
    """The tenant's own feed of a name, locked, so that two uploads do not make two."""
    query = sa.select(FEED).where(FEED.c.tenant == tenant, FEED.c.name == name).with_for_update()
    return session.execute(query).one_or_none()


def list_feeds(session: Session, after: UUID | None, limit: int) -> Sequence[sa.Row[Any]]:
    """Feeds in the order of their ids."""
    query = sa.select(FEED).order_by(FEED.c.id).limit(limit)
    return session.execute(query if after is None else query.where(FEED.c.id > after)).all()


def update_feed(session: Session, tenant: str, feed_id: UUID, values: dict[str, Any]) -> sa.Row[Any]:
    """Change a feed of the tenant.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    mine = sa.and_(FEED.c.id == feed_id, FEED.c.tenant == tenant)
    row = session.execute(sa.update(FEED).where(mine).values(**values).returning(FEED)).one_or_none()
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


def insert_run(session: Session, feed: sa.Row[Any], *, actor: str, observed_at: datetime, payload: str | None) -> UUID:
    """A run that waits for a worker."""
    values = {"tenant": feed.tenant, "feed_id": feed.id, "observed_at": observed_at, "payload": payload}
    statement = sa.insert(RUN).values(id=uuid4(), state="queued", requested_by=actor, **values)
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


def list_runs(session: Session, feed_id: UUID | None, before: datetime | None, limit: int) -> Sequence[sa.Row[Any]]:
    """Runs, newest first."""
    query = _RUN.order_by(RUN.c.queued_at.desc()).limit(limit)
    if feed_id is not None:
        query = query.where(RUN.c.feed_id == feed_id)
    return session.execute(query if before is None else query.where(RUN.c.queued_at < before)).all()


def take_run(session: Session, run_id: UUID) -> sa.Row[Any] | None:
    """Begin a run, or take it over from a worker that is gone; None when it is done or in good hands."""
    statement = (
        sa.update(RUN)
        .where(RUN.c.id == run_id, _TAKEABLE)
        .values(state="running", attempts=RUN.c.attempts + 1, lease_until=_NOW + LEASE, started_at=_NOW)
        .returning(RUN)
    )
    return session.execute(statement).one_or_none()


def renew_lease(session: Session, run_id: UUID, attempt: int) -> bool:
    """Say that a run is still worked on; False when somebody else took it over."""
    mine = sa.and_(RUN.c.id == run_id, RUN.c.attempts == attempt, RUN.c.state == "running")
    statement = sa.update(RUN).where(mine).values(lease_until=_NOW + LEASE).returning(RUN.c.id)
    return session.execute(statement).one_or_none() is not None


def end_run(session: Session, run_id: UUID, attempt: int, values: dict[str, Any]) -> bool:
    """Write a run's outcome; False when somebody else took it over, whose outcome then counts."""
    mine = sa.and_(RUN.c.id == run_id, RUN.c.attempts == attempt, RUN.c.state == "running")
    statement = sa.update(RUN).where(mine).values(lease_until=None, **values).returning(RUN.c.id)
    return session.execute(statement).one_or_none() is not None


def start_due(session: Session, observed_at: datetime, actor: str, limit: int) -> list[tuple[UUID, str]]:
    """Make a run for each feed that is due and has none open; move each feed's next time on.

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
    every = sa.func.make_interval(0, 0, 0, 0, 0, 0, FEED.c.every_seconds)
    moved = sa.update(FEED).where(FEED.c.id.in_(due)).values(next_run_at=_NOW + every).returning(FEED)
    feeds = session.execute(moved).all()
    return [
        (insert_run(session, feed, actor=actor, observed_at=observed_at, payload=None), feed.tenant) for feed in feeds
    ]


def lost_runs(session: Session, limit: int = 1000) -> Sequence[sa.Row[Any]]:
    """Runs that could be worked on and are not: their message was lost, or their worker."""
    query: sa.Select[Any] = (
        sa.select(RUN.c.id, RUN.c.tenant).where(_TAKEABLE).order_by(RUN.c.next_attempt_at).limit(limit)
    )
    return session.execute(query.order_by(RUN.c.next_attempt_at).limit(limit)).all()
