"""SQL of what lists have in collections."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.observables.taxii.models import COLLECTION_MEMBER, MemberRow

_UUIDS: Final = pg.ARRAY(pg.UUID(as_uuid=True))
_ROW: Final = tuple(COLLECTION_MEMBER.c[name] for name in MemberRow._fields)
_INSERT: Final = sa.text(
    "INSERT INTO collection_member (tenant, collection_id, observable_id, object_id, type, value, "
    "score, marking, created) SELECT :tenant, :collection, new.* "
    "FROM unnest(CAST(:observable_id AS uuid[]), CAST(:object_id AS text[]), "
    "CAST(:type AS text[]), CAST(:value AS text[]), CAST(:score AS smallint[]), "
    "CAST(:marking AS text[]), CAST(:created AS timestamptz[])) AS new"
)
_BEHIND: Final = sa.text(
    "SELECT c.tenant, c.id FROM collection c "
    "LEFT JOIN dissemination_list l ON l.id = c.list_id AND l.tenant = c.tenant "
    "WHERE c.list_id IS NOT NULL AND (l.published_number > c.list_cursor OR l.id IS NULL "
    "AND EXISTS (SELECT FROM collection_member m WHERE m.collection_id = c.id)) ORDER BY c.id"
)


def list_behind(session: Session) -> list[tuple[str, UUID]]:
    """Tenant and id of the collections that do not have what their lists have published.

    The transaction is the platform's.
    """
    return [(row.tenant, row.id) for row in session.execute(_BEHIND)]


def members_of(
    session: Session, collection: UUID, observables: Collection[UUID]
) -> dict[UUID, MemberRow]:
    """What a collection has of some observables, by their ids."""
    query = sa.select(*_ROW).where(
        COLLECTION_MEMBER.c.collection_id == collection,
        COLLECTION_MEMBER.c.observable_id == sa.any_(sa.cast(list(observables), _UUIDS)),
    )
    rows = [MemberRow(*row) for row in session.execute(query)]
    return {row.observable_id: row for row in rows}


def first_members(
    session: Session, collection: UUID, after: UUID, limit: int
) -> dict[UUID, MemberRow]:
    """What a collection has, by id of observable, behind an id."""
    query = (
        sa.select(*_ROW)
        .where(
            COLLECTION_MEMBER.c.collection_id == collection,
            COLLECTION_MEMBER.c.observable_id > after,
        )
        .order_by(COLLECTION_MEMBER.c.observable_id)
        .limit(limit)
    )
    rows = [MemberRow(*row) for row in session.execute(query)]
    return {row.observable_id: row for row in rows}


def replace_members(
    session: Session,
    tenant: str,
    collection: UUID,
    gone: Collection[UUID],
    new: Sequence[MemberRow],
) -> None:
    """Delete what a list has no longer in a collection, then store what it has now."""
    if gone:
        statement = sa.delete(COLLECTION_MEMBER).where(
            COLLECTION_MEMBER.c.collection_id == collection,
            COLLECTION_MEMBER.c.observable_id == sa.any_(sa.cast(list(gone), _UUIDS)),
        )
        session.execute(statement)
    if new:
        columns = dict(zip(MemberRow._fields, map(list, zip(*new, strict=True)), strict=True))
        session.execute(_INSERT, {"tenant": tenant, "collection": collection, **columns})
