"""SQL of collections themselves."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.taxii.models import COLLECTION, CollectionRow

_UNSERVED: Final = sa.text(
    "SELECT tenant, id, name, description, tlp_ceiling, created_by FROM dissemination_list l "
    "WHERE is_collection AND NOT EXISTS (SELECT FROM collection c WHERE c.tenant = l.tenant "
    "AND (c.list_id = l.id OR c.title = l.name)) ORDER BY created_at LIMIT 100"
)
_ROW: Final = tuple(COLLECTION.c[name] for name in CollectionRow._fields)


class UnservedList(NamedTuple):
    """A list that should be a collection; the fields are columns."""

    tenant: str
    id: UUID
    name: str
    description: str
    tlp: str
    created_by: str


def add_collection(
    session: Session, tenant: str, identity: UUID, values: Mapping[str, Any], actor: str
) -> CollectionRow | None:
    """Store a collection; None if the tenant has one of that title."""
    statement = (
        insert(COLLECTION)
        .values(tenant=tenant, id=identity, created_by=actor, **values)
        .on_conflict_do_nothing(index_elements=["tenant", "title"])
        .returning(*_ROW)
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else CollectionRow(*row)


def list_collections(session: Session, tenant: str) -> list[CollectionRow]:
    """The collections of one tenant, the oldest first."""
    query = (
        sa.select(*_ROW)
        .where(COLLECTION.c.tenant == tenant)
        .order_by(COLLECTION.c.created_at, COLLECTION.c.id)
    )
    return [CollectionRow(*row) for row in session.execute(query)]


def get_collection(
    session: Session, tenant: str, identity: UUID, *, is_locked: bool = False
) -> CollectionRow | None:
    """A tenant's collection; None if it has no such.

    Args:
        session: a transaction that may read the tenant.
        tenant: whose it is.
        identity: its id.
        is_locked: no other transaction writes into it until this one ends.
    """
    query = sa.select(*_ROW).where(COLLECTION.c.tenant == tenant, COLLECTION.c.id == identity)
    row = session.execute(query.with_for_update() if is_locked else query).one_or_none()
    return None if row is None else CollectionRow(*row)


def change_collection(
    session: Session, tenant: str, identity: UUID, values: Mapping[str, Any]
) -> CollectionRow:
    """Change fields of a collection, which is locked."""
    statement = (
        sa.update(COLLECTION)
        .where(COLLECTION.c.tenant == tenant, COLLECTION.c.id == identity)
        .values(**values)
        .returning(*_ROW)
    )
    return CollectionRow(*session.execute(statement).one())


def has_title(session: Session, tenant: str, title: str, other_than: UUID) -> bool:
    """Whether another collection of the tenant has a title."""
    query = sa.select(sa.literal(1)).where(
        COLLECTION.c.tenant == tenant, COLLECTION.c.title == title, COLLECTION.c.id != other_than
    )
    return session.execute(query).first() is not None


def delete_collection(session: Session, tenant: str, identity: UUID) -> None:
    """Delete a collection with everything in it."""
    session.execute(
        sa.delete(COLLECTION).where(COLLECTION.c.tenant == tenant, COLLECTION.c.id == identity)
    )


def lists_without(session: Session) -> list[UnservedList]:
    """Lists that are collections by their settings, and have none; the transaction sees them."""
    return [UnservedList(*row) for row in session.execute(_UNSERVED)]
