"""SQL of loads and of the sources they come from."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.mitre.imports.domains import DOMAINS
from services.mitre.releases.models import LOAD, SOURCE
from shared.database import PUBLIC
from shared.errors import Conflict, NotFound

LEASE: Final = timedelta(seconds=60)
"""A load whose worker has not renewed it for this long is free again."""

MAX_ATTEMPTS: Final = 5
"""Times a load is begun before it counts as failed for good."""

_NOW: Final = sa.func.now()
_HINT_AGAIN: Final = timedelta(seconds=60)
_OPEN: Final = LOAD.c.state.in_(("queued", "running"))
_ABANDONED: Final = sa.and_(LOAD.c.state == "running", LOAD.c.lease_until <= _NOW)


def insert_load(session: Session, values: dict[str, Any]) -> sa.Row[Any]:
    """A load that waits for a worker."""
    return session.execute(sa.insert(LOAD).values(tenant=PUBLIC, **values).returning(LOAD)).one()


def get_load(session: Session, load_id: UUID) -> sa.Row[Any]:
    """A load.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(sa.select(LOAD).where(LOAD.c.id == load_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no load {load_id}.")
    return row


def list_loads(session: Session, before: datetime | None, limit: int) -> Sequence[sa.Row[Any]]:
    """Loads, newest first."""
    query = sa.select(LOAD).order_by(LOAD.c.created_at.desc()).limit(limit)
    return session.execute(
        query if before is None else query.where(LOAD.c.created_at < before)
    ).all()


def open_loads(session: Session) -> Sequence[sa.Row[Any]]:
    """Loads that are not done."""
    return session.execute(sa.select(LOAD).where(_OPEN)).all()


def claim(session: Session, load_id: UUID) -> sa.Row[Any] | None:
    """Begin a load; None when it is done or in good hands."""
    statement = (
        sa.update(LOAD)
        .where(
            LOAD.c.id == load_id,
            sa.or_(LOAD.c.state == "queued", _ABANDONED),
            LOAD.c.attempts < MAX_ATTEMPTS,
        )
        .values(
            state="running", attempts=LOAD.c.attempts + 1, started_at=_NOW, lease_until=_NOW + LEASE
        )
    )
    return session.execute(statement.returning(LOAD)).one_or_none()


def renew(session: Session, load_id: UUID, attempt: int) -> None:
    """Keep a load for another lease.

    Raises:
        Conflict: somebody else has it.
    """
    _own(session, load_id, attempt, {"lease_until": _NOW + LEASE})


def finish(
    session: Session,
    load_id: UUID,
    attempt: int,
    state: str,
    *,
    result: dict[str, Any] | None,
    error: object = None,
) -> None:
    """Bring a load to its end.

    Raises:
        Conflict: somebody else has it; the transaction must not be committed.
    """
    values = {
        "state": state,
        "lease_until": None,
        "finished_at": _NOW,
        "result": result,
        "error": error or sa.null(),
    }
    _own(session, load_id, attempt, values)


def put_back(
    session: Session, load_id: UUID, attempt: int, *, error: dict[str, Any], seconds: float
) -> None:
    """Let a load wait for another try.

    Raises:
        Conflict: somebody else has it.
    """
    hint_at = _NOW + timedelta(seconds=seconds)
    _own(
        session,
        load_id,
        attempt,
        {"state": "queued", "lease_until": None, "hint_at": hint_at, "error": error},
    )


def _own(session: Session, load_id: UUID, attempt: int, values: dict[str, Any]) -> None:
    # The number of the attempt is the fence: whoever took the load over has a higher one.
    mine = sa.and_(LOAD.c.id == load_id, LOAD.c.state == "running", LOAD.c.attempts == attempt)
    if (
        session.execute(
            sa.update(LOAD).where(mine).values(**values).returning(LOAD.c.id)
        ).one_or_none()
        is None
    ):
        raise Conflict(f"Another worker has taken over the load {load_id}.")


def lost_loads(session: Session) -> list[UUID]:
    """Loads whose message or worker is gone, back in the queue; those that keep killing their worker are given up."""
    given_up = {
        "code": "given-up",
        "message": f"The load was begun {MAX_ATTEMPTS} times and its worker died each time; see the worker's log.",
    }
    session.execute(
        sa.update(LOAD)
        .where(_ABANDONED, LOAD.c.attempts >= MAX_ATTEMPTS)
        .values(state="failed", lease_until=None, finished_at=_NOW, error=given_up)
    )
    statement = (
        sa.update(LOAD)
        .where(sa.or_(_ABANDONED, sa.and_(LOAD.c.state == "queued", LOAD.c.hint_at <= _NOW)))
        .values(state="queued", lease_until=None, hint_at=_NOW + _HINT_AGAIN)
    )
    return list(session.scalars(statement.returning(LOAD.c.id)))


def ensure_sources(session: Session) -> None:
    """Make the rows of domains that have none yet."""
    rows = [
        {"tenant": PUBLIC, "domain": d.name, "url": d.url, "enabled": d.enabled}
        for d in DOMAINS.values()
    ]
    session.execute(pg.insert(SOURCE).values(rows).on_conflict_do_nothing())


def list_sources(session: Session) -> Sequence[sa.Row[Any]]:
    """All sources."""
    return session.execute(sa.select(SOURCE).order_by(SOURCE.c.domain)).all()


def get_source(session: Session, domain: str) -> sa.Row[Any]:
    """A domain's source."""
    return session.execute(sa.select(SOURCE).where(SOURCE.c.domain == domain)).one()


def update_source(session: Session, domain: str, values: dict[str, Any]) -> sa.Row[Any]:
    """Change a source."""
    return session.execute(
        sa.update(SOURCE).where(SOURCE.c.domain == domain).values(**values).returning(SOURCE)
    ).one()


def mark_checked(session: Session, domain: str, url: str, values: dict[str, Any]) -> None:
    """Remember what the server said of its answer, unless the source has another address by now."""
    mine = sa.and_(SOURCE.c.domain == domain, SOURCE.c.url == url)
    session.execute(sa.update(SOURCE).where(mine).values(checked_at=_NOW, **values))
