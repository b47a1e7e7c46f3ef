"""The SQL of reference data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.database import PUBLIC

_TIME: Final = sa.DateTime(timezone=True)
DATASET: Final = sa.Table(
    "dataset",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text),
    sa.Column("packed", sa.LargeBinary),
    sa.Column("origin", sa.Text),
    sa.Column("obtained_at", _TIME),
    sa.Column("checked_at", _TIME),
    sa.Column("described", sa.Text),
    sa.Column("described_as_of", _TIME),
    sa.Column("progress", sa.Text),
    sa.Column("error", sa.Text),
)


def digests(session: Session) -> dict[str, str]:
    """The digest of each set that is there, by name."""
    query = sa.select(DATASET.c.name, DATASET.c.digest).where(DATASET.c.digest.is_not(None))
    return {row.name: row.digest for row in session.execute(query)}


def packed(session: Session, name: str) -> bytes:
    """A set's packed bytes."""
    return bytes(
        session.execute(sa.select(DATASET.c.packed).where(DATASET.c.name == name)).scalar_one()
    )


def overview(session: Session) -> Sequence[Any]:
    """Everything about each set but its bytes."""
    columns = [column for column in DATASET.c if column.name != "packed"]
    size = sa.func.octet_length(DATASET.c.packed).label("bytes")
    return session.execute(sa.select(*columns, size).order_by(DATASET.c.name)).all()


def dates(session: Session) -> dict[str, datetime]:
    """The date of the data that everything stored was described with, at least, by the name of the set."""
    described = DATASET.c.described
    date = sa.case(
        (described == DATASET.c.digest, DATASET.c.obtained_at), else_=DATASET.c.described_as_of
    )
    query = sa.select(DATASET.c.name, date.label("date")).where(date.is_not(None))
    return {row.name: row.date for row in session.execute(query)}


def put(session: Session, name: str, **values: Any) -> None:
    """Change what is known about a set; the session is that of `public`."""
    statement = insert(DATASET).values(tenant=PUBLIC, name=name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant", "name"], set_=values))


def change(session: Session, name: str, digest: str, **values: Any) -> None:
    """Change some of what is known about a set, unless it is another one by now."""
    session.execute(
        sa.update(DATASET)
        .where(DATASET.c.name == name, DATASET.c.digest == digest)
        .values(**values)
    )


_NEXT: Final = sa.text(
    "SELECT tenant, id::text, type, value, context::text FROM observable "
    "WHERE (tenant, id) > (:tenant, CAST(:id AS uuid)) ORDER BY tenant, id LIMIT :most"
)
_CHANGE: Final = sa.text(
    "WITH mine AS (SELECT o.tenant, o.id, o.context, fresh.context AS now FROM observable o "
    "JOIN unnest(CAST(:ids AS uuid[]), CAST(:contexts AS json[])) fresh(id, context) "
    "ON o.tenant = :tenant AND o.id = fresh.id), "
    "past AS (INSERT INTO context_past SELECT tenant, id, :at, context FROM mine) "
    "UPDATE observable o SET context = mine.now FROM mine WHERE o.tenant = mine.tenant AND o.id = mine.id"
)


def next_contexts(session: Session, after: str, most: int) -> Sequence[sa.Row[Any]]:
    """Observables of all tenants in the order of tenant and id: tenant, id, type, value, context as JSON.

    `after` is the tenant and the id of the last one before, with a space between them.
    """
    tenant, _, identity = after.partition(" ")
    return session.execute(_NEXT, {"tenant": tenant, "id": identity, "most": most}).all()


def change_contexts(session: Session, tenant: str, contexts: dict[str, str], at: datetime) -> None:
    """Replace contexts, by id, and keep what they were."""
    values = {
        "ids": list(contexts),
        "contexts": list(contexts.values()),
        "tenant": tenant,
        "at": at,
    }
    session.execute(_CHANGE, values)
