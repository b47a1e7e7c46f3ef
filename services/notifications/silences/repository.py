"""SQL of silences."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.notifications.silences.models import SILENCE

_NOW = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True)
class Silence:
    """A stored silence.

    Attributes:
        ended_by: who has ended it before its time.
    """

    id: UUID
    tenant: str
    filter: str
    reason: str
    author: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    ended_by: str | None


def list_unended(session: Session, past: timedelta) -> list[Silence]:
    """Silences that have not ended, or within the past; those that come are included."""
    query = sa.select(SILENCE).where(SILENCE.c.ends_at > _NOW - past).order_by(SILENCE.c.id)
    return [Silence(*row) for row in session.execute(query)]


def database_time(session: Session) -> datetime:
    """The time of the database."""
    now: datetime = session.scalars(sa.select(_NOW)).one()
    return now


def insert(session: Session, values: Mapping[str, Any]) -> Silence:
    """Store a new silence."""
    return Silence(*session.execute(sa.insert(SILENCE).values(**values).returning(SILENCE)).one())


def update(session: Session, silence_id: UUID, values: Mapping[str, Any]) -> Silence:
    """Change a silence."""
    statement = sa.update(SILENCE).where(SILENCE.c.id == silence_id).values(**values)
    return Silence(*session.execute(statement.returning(SILENCE)).one())


def find(session: Session, silence_id: UUID, *, lock: bool = False) -> Silence | None:
    """A silence of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(SILENCE).where(SILENCE.c.id == silence_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Silence(*row)


def list_newest(
    session: Session, after: UUID | None, limit: int, *, is_active: bool | None
) -> list[Silence]:
    """Silences, newest first, from behind the id `after`."""
    query = sa.select(SILENCE).order_by(SILENCE.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(SILENCE.c.id < after)
    if is_active is not None:
        active = sa.and_(SILENCE.c.starts_at <= _NOW, SILENCE.c.ends_at > _NOW)
        query = query.where(active if is_active else sa.not_(active))
    return [Silence(*row) for row in session.execute(query)]
