"""The SQL of what is said beside the feeds: sightings, relations, observables that no source names."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.store.models import OBSERVABLE, RELATION, SIGHTING


def sighted(session: Session, tenant: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Of which observable each of these sightings of the tenant is, as far as they are there."""
    mine = sa.and_(SIGHTING.c.tenant == tenant, SIGHTING.c.id.in_(ids))
    query = sa.select(SIGHTING.c.id, sa.cast(SIGHTING.c.observable_id, sa.Text)).where(mine)
    return {row[0]: row[1] for row in session.execute(query)}


def put_sightings(session: Session, rows: list[dict[str, Any]]) -> set[UUID]:
    """Store reports; ids of those that were not there already."""
    statement = insert(SIGHTING).on_conflict_do_nothing().returning(SIGHTING.c.id)
    return set(session.scalars(statement, rows))


def withdraw_sighting(session: Session, tenant: str, identity: UUID, at: datetime) -> bool:
    """Let a sighting of the tenant count no more; whether it did until now."""
    mine = sa.and_(
        SIGHTING.c.tenant == tenant, SIGHTING.c.id == identity, SIGHTING.c.withdrawn_at.is_(None)
    )
    done = session.execute(
        sa.update(SIGHTING).where(mine).values(withdrawn_at=at).returning(SIGHTING.c.id)
    )
    return done.first() is not None


def put_observables(session: Session, rows: list[dict[str, Any]]) -> None:
    """Store observables that somebody else than a source speaks of; what is there stays as it is."""
    session.execute(insert(OBSERVABLE).on_conflict_do_nothing(), rows)


def put_relations(session: Session, rows: list[dict[str, Any]]) -> None:
    """Store relations; one that is there already is only seen longer."""
    statement = insert(RELATION)
    wider = {
        "first_seen": sa.func.least(RELATION.c.first_seen, statement.excluded.first_seen),
        "last_seen": sa.func.greatest(RELATION.c.last_seen, statement.excluded.last_seen),
    }
    keys = ["tenant", "from_id", "kind", "to_id", "source"]
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=wider), rows)
