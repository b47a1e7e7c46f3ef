"""The SQL of sightings."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.store.models import SIGHTING


class NewSighting(NamedTuple):
    """The row of a sighting; its fields are the columns."""

    tenant: str
    id: UUID
    observable_id: UUID
    kind: str
    times: int
    place: str
    note: str
    first_seen: datetime
    last_seen: datetime
    actor: str
    recorded_at: datetime


def observables_of(session: Session, tenant: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The observable of each of these sightings of the tenant that is stored."""
    query = sa.select(SIGHTING.c.id, sa.cast(SIGHTING.c.observable_id, sa.Text)).where(
        SIGHTING.c.tenant == tenant, SIGHTING.c.id.in_(ids)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def put_sightings(session: Session, sightings: Sequence[NewSighting]) -> set[UUID]:
    """Store sightings; return the ids of those that were not stored before."""
    statement = insert(SIGHTING).on_conflict_do_nothing().returning(SIGHTING.c.id)
    rows = []
    for sighting in sightings:
        row = sighting._asdict()
        row["count"] = row.pop("times")  # a tuple has a method of that name
        rows.append(row)
    return set(session.scalars(statement, rows))


def withdraw_sighting(session: Session, tenant: str, identity: UUID, at: datetime) -> bool:
    """Mark a sighting of the tenant as withdrawn; return whether it counted until now."""
    is_counted = sa.and_(
        SIGHTING.c.tenant == tenant, SIGHTING.c.id == identity, SIGHTING.c.withdrawn_at.is_(None)
    )
    query = sa.update(SIGHTING).where(is_counted).values(withdrawn_at=at).returning(SIGHTING.c.id)
    return session.execute(query).first() is not None
