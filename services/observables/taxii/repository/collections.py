"""SQL of collections themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.taxii.models import COLLECTION, CollectionRow

_ROW: Final = tuple(COLLECTION.c[name] for name in CollectionRow._fields)


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


def list_fed(session: Session) -> Sequence[tuple[str, UUID]]:
    """Tenant and id of all collections that lists fill; the transaction is the platform's."""
    query = sa.select(COLLECTION.c.tenant, COLLECTION.c.id).where(COLLECTION.c.list_id.is_not(None))
    return [(row.tenant, row.id) for row in session.execute(query.order_by(COLLECTION.c.id))]
