"""The SQL of scores that are to be computed again because what is measured of a source moved."""

from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.evidence.models import SOURCE_RESCORING
from services.observables.evidence.repository.copies import IdRange, visible_tenants
from shared.database import PUBLIC

_IN_RANGE: Final = "BETWEEN CAST(:low AS uuid) AND CAST(:high AS uuid)"
# Spread over an hour: a score that falls is news, and news come at a pace that people can follow.
_MARK_DUE: Final = sa.text(
    "UPDATE observable o "  # noqa: S608  # constants
    "SET due_at = least(o.due_at, now() + random() * interval '1 hour') "
    "FROM assertion a JOIN assertion b ON b.observable_id = a.observable_id "
    "AND b.tenant = ANY(:tenants) AND b.source_id = :other "
    f"WHERE a.tenant = :tenant AND a.source_id = :source AND a.observable_id {_IN_RANGE} "
    f"AND o.id = a.observable_id AND o.id {_IN_RANGE} "
    "AND (o.tenant = :tenant OR :tenant = :public)"
)


class RescoringRow(NamedTuple):
    """What is to be marked, in the order of its columns."""

    tenant: str
    source_id: UUID
    other_id: UUID
    next_range: int


def put_rescoring(session: Session, tenant: str, source: UUID, other: UUID) -> None:
    """Note that scores of what two sources list are to be marked; of all that one lists.

    What is noted already begins anew: ranges that were marked before this may be scored by now.

    Args:
        session: the transaction that stores what is measured of the source.
        tenant: the source's.
        source: the source of which something else is measured now.
        other: the source that it copies, or no longer; itself for all that it lists.
    """
    statement = insert(SOURCE_RESCORING).values(
        tenant=tenant, source_id=source, other_id=other, next_range=0
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant", "source_id", "other_id"], set_={"next_range": 0}
        )
    )


def next_rescoring(session: Session) -> RescoringRow | None:
    """The note to go on with, locked until the end of the platform's transaction."""
    table = SOURCE_RESCORING
    query = (
        sa.select(*(table.c[name] for name in RescoringRow._fields))
        .order_by(table.c.next_range.desc(), table.c.tenant, table.c.source_id, table.c.other_id)
        .limit(1)
        .with_for_update()
    )
    row = session.execute(query).one_or_none()
    return None if row is None else RescoringRow(*row)


def mark_due(session: Session, tenant: str, source: UUID, other: UUID, ids: IdRange) -> int:
    """Let scores be due again of what two sources list; of how many.

    Args:
        session: the platform's transaction: what is public concerns all tenants.
        tenant: the source's.
        source: one source.
        other: the other; the same one for all that it lists.
        ids: the observables.
    """
    values = {
        "tenant": tenant,
        "tenants": visible_tenants(tenant),
        "public": PUBLIC,
        "source": source,
        "other": other,
        "low": ids.low,
        "high": ids.high,
    }
    return int(session.execute(_MARK_DUE, values).rowcount)  # type: ignore[attr-defined]


def advance_rescoring(
    session: Session, tenant: str, source: UUID, other: UUID, next_range: int, ranges: int
) -> None:
    """Store the range to go on with; after the last of them the note is removed."""
    table = SOURCE_RESCORING
    this = sa.and_(table.c.tenant == tenant, table.c.source_id == source, table.c.other_id == other)
    if next_range >= ranges:
        session.execute(sa.delete(table).where(this))
    else:
        session.execute(sa.update(table).where(this).values(next_range=next_range))
