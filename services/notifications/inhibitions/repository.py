"""SQL of inhibitions."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.notifications.inhibitions.activity import InhibitionFiring
from services.notifications.inhibitions.models import FIRING, INHIBITION
from shared.errors import Conflict

_NOW: Final = sa.func.clock_timestamp()
_LOCK: Final = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('inhibition ' || :id, 0))")
_FIRING: Final = (
    FIRING.c.id,
    FIRING.c.inhibition_id,
    FIRING.c.key,
    FIRING.c.labels,
    FIRING.c.starts_at,
    FIRING.c.ends_at,
)


@dataclass(frozen=True, slots=True)
class Inhibition:
    """A stored inhibition."""

    id: UUID
    tenant: str
    name: str
    enabled: bool
    source_filter: str
    target_filter: str
    equal: list[str]
    hold_seconds: int
    author: str
    created_at: datetime
    updated_at: datetime


def list_enabled(session: Session) -> list[Inhibition]:
    """The enabled inhibitions that the transaction may read, in the order of their names."""
    query = sa.select(INHIBITION).where(INHIBITION.c.enabled).order_by(INHIBITION.c.name)
    return [Inhibition(*row) for row in session.execute(query)]


def list_by_name(session: Session, after: tuple[str, UUID] | None, limit: int) -> list[Inhibition]:
    """Inhibitions by name, from behind the position `after`."""
    order = (INHIBITION.c.name, INHIBITION.c.id)
    query = sa.select(INHIBITION).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(*map(sa.literal, after)))
    return [Inhibition(*row) for row in session.execute(query)]


def find(session: Session, inhibition_id: UUID, *, lock: bool = False) -> Inhibition | None:
    """An inhibition of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(INHIBITION).where(INHIBITION.c.id == inhibition_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Inhibition(*row)


def insert(session: Session, values: Mapping[str, Any]) -> Inhibition:
    """Store a new inhibition.

    Raises:
        Conflict: the tenant has one of that name.
    """
    return _write(session, sa.insert(INHIBITION).values(**values))


def update(session: Session, inhibition_id: UUID, values: Mapping[str, Any]) -> Inhibition:
    """Change an inhibition.

    Raises:
        Conflict: the tenant has one of that name.
    """
    statement = sa.update(INHIBITION).where(INHIBITION.c.id == inhibition_id)
    return _write(session, statement.values(updated_at=_NOW, **values))


def _write(session: Session, statement: sa.Insert | sa.Update) -> Inhibition:
    try:
        with session.begin_nested():
            return Inhibition(*session.execute(statement.returning(INHIBITION)).one())
    except IntegrityError as error:
        raise Conflict("There is an inhibition of this name.") from error


def delete(session: Session, inhibition_id: UUID) -> None:
    """Delete an inhibition with its firings."""
    session.execute(sa.delete(INHIBITION).where(INHIBITION.c.id == inhibition_id))


def lock_firings(session: Session, inhibition_id: UUID) -> None:
    """Keep others from firing an inhibition until the transaction ends."""
    session.execute(_LOCK, {"id": str(inhibition_id)})


def recent_firings(
    session: Session, inhibition_ids: Collection[UUID], past: timedelta
) -> list[InhibitionFiring]:
    """The firings of some inhibitions that have not ended, or within the past."""
    query = (
        sa.select(*_FIRING)
        .where(FIRING.c.inhibition_id.in_(inhibition_ids), FIRING.c.ends_at > _NOW - past)
        .order_by(FIRING.c.starts_at, FIRING.c.id)
    )
    return [InhibitionFiring(*row) for row in session.execute(query)]


def list_active(session: Session, inhibition_id: UUID, limit: int) -> list[InhibitionFiring]:
    """Firings that hold something now, those that end last first."""
    query = (
        sa.select(*_FIRING)
        .where(FIRING.c.inhibition_id == inhibition_id, FIRING.c.ends_at > _NOW)
        .order_by(FIRING.c.ends_at.desc(), FIRING.c.id)
        .limit(limit)
    )
    return [InhibitionFiring(*row) for row in session.execute(query)]


def store_firing(session: Session, tenant: str, firing: InhibitionFiring) -> None:
    """Store a firing, or the times of one that goes on."""
    values = {
        "id": firing.id,
        "tenant": tenant,
        "inhibition_id": firing.inhibition_id,
        "key": firing.key,
        "labels": firing.labels,
        "starts_at": firing.starts_at,
        "ends_at": firing.ends_at,
    }
    times = {"starts_at": firing.starts_at, "ends_at": firing.ends_at}
    statement = pg_insert(FIRING).values(**values)
    session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=times))


def end_firings(session: Session, inhibition_id: UUID) -> list[UUID]:
    """End what an inhibition holds now; the ids of its firings."""
    statement = (
        sa.update(FIRING)
        .where(FIRING.c.inhibition_id == inhibition_id, FIRING.c.ends_at > _NOW)
        .values(ends_at=_NOW)
        .returning(FIRING.c.id)
    )
    return list(session.scalars(statement))


def database_time(session: Session) -> datetime:
    """The time of the database."""
    now: datetime = session.scalars(sa.select(_NOW)).one()
    return now
