"""SQL of source values.

Which bitmaps are older than what is stored, the chunks of runs tell: a chunk is noted in the
transaction that applies it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.observables.source_values.models import (
    SOURCE_BITMAP,
    SOURCE_COST,
    AssertedBucket,
    BitmapRow,
    StaleBucket,
    ValuedSource,
)
from shared.database import PLATFORM
from shared.stix.ids import BUCKETS, bucket_range

_SETTLING_SECONDS: Final = 120
"""After so long no transaction is open any more that was begun before a chunk was noted."""
_STALE: Final = sa.text(
    "SELECT newest.tenant, newest.source_id, newest.bucket, newest.handled_at, "
    "newest.handled_at < now() - make_interval(secs => :settling) AS is_settled "
    "FROM (SELECT tenant, source_id, bucket, max(handled_at) AS handled_at FROM run_chunk "
    "WHERE source_id IS NOT NULL AND handled_at > (SELECT max(handled_at) FROM source_bitmap) "
    "- interval '10 minutes' GROUP BY tenant, source_id, bucket) newest "
    "JOIN source_bitmap stored USING (tenant, source_id, bucket) "
    "WHERE stored.handled_at < newest.handled_at OR NOT stored.is_settled "
    "AND newest.handled_at < now() - make_interval(secs => :settling) "
    "ORDER BY newest.handled_at LIMIT :most"
)
# What was applied lately is looked at once more: transactions that are open now end later.
_MISSING: Final = sa.text(
    "SELECT s.tenant, s.id, b.number, now() - make_interval(secs => :settling), false "
    "FROM source s CROSS JOIN generate_series(0, :last) AS b(number) "
    "WHERE NOT EXISTS (SELECT FROM source_bitmap m WHERE m.tenant = s.tenant "
    "AND m.source_id = s.id AND m.bucket = b.number) "
    "ORDER BY s.tenant, b.number LIMIT :most"
)
_RANGE: Final = "BETWEEN CAST(:low AS uuid) AND CAST(:high AS uuid)"
_NUMBER: Final = sa.text(
    "INSERT INTO observable_number (tenant, id) "  # noqa: S608  # constants
    "SELECT DISTINCT :platform, observable_id FROM assertion a "
    f"WHERE tenant = :tenant AND observable_id {_RANGE} AND source_id = ANY(:sources) "
    "AND NOT EXISTS (SELECT FROM observable_number n WHERE n.id = a.observable_id) "
    "ON CONFLICT DO NOTHING"
)
_ASSERTED: Final = sa.text(
    "SELECT a.source_id, "  # noqa: S608  # constants
    "string_agg(int4send(n.number), '' ORDER BY n.number), "
    "string_agg(int4send(greatest(least(extract(epoch FROM a.first_seen), 2147483647), 0)::int), "
    "'' ORDER BY n.number), "
    "string_agg(int4send(n.number), '' ORDER BY n.number) "
    "FILTER (WHERE o.context::text ~ :harmless) "
    "FROM assertion a JOIN observable_number n ON n.id = a.observable_id "
    "JOIN observable o ON o.tenant = a.tenant AND o.id = a.observable_id "
    f"WHERE a.tenant = :tenant AND a.observable_id {_RANGE} AND n.id {_RANGE} AND o.id {_RANGE} "
    "AND a.source_id = ANY(:sources) AND a.retracted_at IS NULL GROUP BY a.source_id"
)
_SOURCES: Final = sa.text(
    "SELECT s.tenant, s.id, s.name, applied.at, coalesce(doubts.observables, 0), "
    "coalesce(seen.observables, 0), c.yearly_cost::float8, coalesce(c.currency, '') "
    "FROM source s LEFT JOIN (SELECT tenant, source_id, max(handled_at) AS at FROM source_bitmap "
    "GROUP BY tenant, source_id) applied ON (applied.tenant, applied.source_id) = (s.tenant, s.id) "
    "LEFT JOIN (SELECT a.tenant, a.source_id, count(DISTINCT a.observable_id) AS observables "
    "FROM sighting g JOIN assertion a ON a.observable_id = g.observable_id "
    "AND a.tenant = ANY(:tenants) WHERE g.kind = 'false-positive' AND g.withdrawn_at IS NULL "
    "AND g.tenant = ANY(:tenants) AND a.retracted_at IS NULL "
    "GROUP BY a.tenant, a.source_id) doubts "
    "ON (doubts.tenant, doubts.source_id) = (s.tenant, s.id) "
    "LEFT JOIN (SELECT a.tenant, a.source_id, count(DISTINCT a.observable_id) AS observables "
    "FROM sighting g JOIN assertion a ON a.observable_id = g.observable_id "
    "AND a.tenant = ANY(:tenants) WHERE g.kind <> 'false-positive' AND g.withdrawn_at IS NULL "
    "AND g.tenant = :tenant AND a.retracted_at IS NULL GROUP BY a.tenant, a.source_id) seen "
    "ON (seen.tenant, seen.source_id) = (s.tenant, s.id) "
    "LEFT JOIN source_cost c ON c.source_id = s.id AND c.tenant = :tenant "
    "WHERE s.tenant = ANY(:tenants) ORDER BY s.name, s.id"
)
_BITMAPS: Final = sa.text(
    "SELECT source_id, members, times, harmless FROM source_bitmap "
    "WHERE tenant = ANY(:tenants) ORDER BY source_id, bucket"
)


def list_stale(session: Session, most: int) -> list[StaleBucket]:
    """Bitmaps that are missing, or older than what is stored; what was applied first comes first.

    The newest bitmap tells how far it was looked. The caller therefore stores all of them in the
    transaction that has listed them.

    Args:
        session: the platform's transaction.
        most: bitmaps at once.
    """
    values = {"settling": _SETTLING_SECONDS, "most": most, "last": BUCKETS - 1}
    rows = session.execute(_MISSING, values).all() or session.execute(_STALE, values).all()
    return [StaleBucket(*row) for row in rows]


def read_asserted(
    session: Session, tenant: str, sources: Collection[UUID], bucket: int, harmless: str
) -> list[AssertedBucket]:
    """What sources of a tenant assert in a bucket; new observables get numbers.

    Args:
        session: the platform's transaction: numbers are for all tenants.
        tenant: of the sources.
        sources: their ids.
        bucket: the range of observables.
        harmless: a regular expression of the context of what allow-lists name as harmless.
    """
    low, high = bucket_range(bucket)
    values: dict[str, Any] = {"tenant": tenant, "sources": list(sources), "low": low, "high": high}
    session.execute(_NUMBER, {**values, "platform": PLATFORM})
    rows = session.execute(_ASSERTED, {**values, "harmless": harmless})
    return [AssertedBucket(row[0], row[1], row[2], row[3] or b"") for row in rows]


def put_bitmaps(
    session: Session, bitmaps: Sequence[tuple[StaleBucket, bytes, bytes, bytes]]
) -> None:
    """Store bitmaps: members, times and harmless members of sources in buckets."""
    names = ("members", "times", "harmless")
    rows = [
        {**stale._asdict(), **dict(zip(names, content, strict=True))} for stale, *content in bitmaps
    ]
    insert = pg.insert(SOURCE_BITMAP)
    changed = {name: insert.excluded[name] for name in (*names, "handled_at", "is_settled")}
    key = ["tenant", "source_id", "bucket"]
    session.execute(insert.on_conflict_do_update(index_elements=key, set_=changed), rows)


def list_bitmaps(session: Session, tenants: Sequence[str]) -> list[BitmapRow]:
    """All bitmaps of some tenants, in the order of their sources."""
    return [BitmapRow(*row) for row in session.execute(_BITMAPS, {"tenants": list(tenants)})]


def list_sources(session: Session, tenant: str, tenants: Sequence[str]) -> list[ValuedSource]:
    """The sources that a tenant sees, by name.

    Args:
        session: the tenant's transaction.
        tenant: whose sightings and costs count.
        tenants: whose sources and false positives it sees.
    """
    rows = session.execute(_SOURCES, {"tenant": tenant, "tenants": list(tenants)})
    return [ValuedSource(*row) for row in rows]


def has_source(session: Session, tenants: Sequence[str], source_id: UUID) -> bool:
    """Whether some tenants have a source."""
    query = sa.text("SELECT EXISTS (SELECT FROM source WHERE tenant = ANY(:tenants) AND id = :id)")
    return bool(session.scalar(query, {"tenants": list(tenants), "id": source_id}))


def get_cost(session: Session, tenant: str, source_id: UUID) -> dict[str, Any]:
    """What a tenant has stated of a source's cost; empty if it has not."""
    table = SOURCE_COST
    query = sa.select(table.c.yearly_cost, table.c.currency).where(
        table.c.tenant == tenant, table.c.source_id == source_id
    )
    row = session.execute(query).mappings().one_or_none()
    return {} if row is None else dict(row)


def put_cost(
    session: Session, tenant: str, source_id: UUID, values: dict[str, Any], actor: str
) -> datetime:
    """State what a source costs a tenant; when it was stated."""
    row = {"tenant": tenant, "source_id": source_id, "changed_by": actor, **values}
    insert = pg.insert(SOURCE_COST).values(**row, changed_at=sa.func.now())
    names = ("yearly_cost", "currency", "changed_by", "changed_at")
    changed = {name: insert.excluded[name] for name in names}
    statement = insert.on_conflict_do_update(index_elements=["tenant", "source_id"], set_=changed)
    moment: datetime = session.execute(statement.returning(SOURCE_COST.c.changed_at)).scalar_one()
    return moment
