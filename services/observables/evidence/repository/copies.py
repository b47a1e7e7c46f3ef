"""The SQL of evidence about sources: who lists what, in pages, and the pairs that copy."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.evidence.models import SOURCE_PAIR
from services.observables.store.models import SOURCE
from shared.database import PUBLIC


class IdRange(NamedTuple):
    """Ids of observables from one to another; both belong to it."""

    low: UUID
    high: UUID


class ListedSource(NamedTuple):
    """A source with its origin and what was measured of it, in the order of its columns."""

    tenant: str
    id: UUID
    origin: str
    derived_from: tuple[str, ...]
    measurements: str


class ListingRow(NamedTuple):
    """Observables that the same sources list in the same order, in the order of its columns."""

    type: str
    listings: str
    is_mistake: bool
    observables: int


class PairRow(NamedTuple):
    """A pair of sources of which one copies the other; the fields are columns."""

    copier_id: UUID
    original_id: UUID
    probability: float
    shared: int
    containment: float
    expected: float
    mistakes: int
    earlier: int
    later: int


_TENANTS: Final = sa.text("SELECT DISTINCT tenant FROM source ORDER BY tenant")
_ESTIMATE: Final = sa.text(
    "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'assertion'::regclass"
)
_RANGE: Final = "BETWEEN CAST(:low AS uuid) AND CAST(:high AS uuid)"
_STARTS: Final = sa.text(
    "SELECT source_id, min(first_seen) FROM assertion "  # noqa: S608  # constants
    f"WHERE tenant = ANY(:tenants) AND observable_id {_RANGE} GROUP BY source_id"
)
# The day of a listing says nothing about who was first when it is the day of a source's first run.
_LISTINGS: Final = sa.text(
    "WITH listing AS ("  # noqa: S608  # constants
    "SELECT a.observable_id, s.number, CASE WHEN a.first_seen >= s.start + interval '1 day' "
    "THEN date_trunc('day', a.first_seen) END AS day FROM assertion a "
    "JOIN unnest(CAST(:sources AS uuid[]), CAST(:starts AS timestamptz[])) "
    "WITH ORDINALITY s(id, start, number) ON s.id = a.source_id "
    f"WHERE a.tenant = ANY(:tenants) AND a.observable_id {_RANGE}), "
    "placed AS (SELECT observable_id, number, CASE WHEN day IS NULL THEN 0 ELSE "
    "dense_rank() OVER (PARTITION BY observable_id ORDER BY day NULLS LAST) END AS place "
    "FROM listing), "
    "pattern AS (SELECT observable_id, "
    "string_agg((number - 1) || ':' || place, ' ' ORDER BY number) AS listings "
    "FROM placed GROUP BY observable_id), "
    "described AS (SELECT DISTINCT ON (id) id, type, context::text ~ :harmless AS is_harmless "
    f"FROM observable WHERE tenant = ANY(:tenants) AND id {_RANGE} "
    "ORDER BY id, tenant = :tenant DESC), "
    "doubted AS (SELECT DISTINCT observable_id FROM sighting WHERE kind = 'false-positive' "
    f"AND withdrawn_at IS NULL AND tenant = ANY(:tenants) AND observable_id {_RANGE}) "
    "SELECT d.type, p.listings, d.is_harmless OR f.observable_id IS NOT NULL, count(*) "
    "FROM pattern p JOIN described d ON d.id = p.observable_id "
    "LEFT JOIN doubted f ON f.observable_id = p.observable_id GROUP BY 1, 2, 3"
)


def tenants_with_sources(session: Session) -> list[str]:
    """The tenants that have sources; the transaction is the platform's."""
    return list(session.scalars(_TENANTS))


def estimated_assertions(session: Session) -> int:
    """About how many assertions are stored, over all tenants."""
    return int(session.execute(_ESTIMATE).scalar_one())


def list_sources(session: Session, tenant: str) -> list[ListedSource]:
    """The sources that a tenant sees, its own first."""
    columns = (
        SOURCE.c.tenant,
        SOURCE.c.id,
        SOURCE.c.origin,
        SOURCE.c.derived_from,
        SOURCE.c.measurements,
    )
    query = (
        sa.select(*columns)
        .where(SOURCE.c.tenant.in_(visible_tenants(tenant)))
        .order_by(SOURCE.c.tenant == PUBLIC, SOURCE.c.id)
    )
    return [
        ListedSource(owner, identity, origin, tuple(derived), measurements)
        for owner, identity, origin, derived, measurements in session.execute(query)
    ]


def visible_tenants(tenant: str) -> list[str]:
    """The tenants whose rows a tenant sees."""
    return [tenant] if tenant == PUBLIC else [tenant, PUBLIC]


def first_days(session: Session, tenant: str, ids: IdRange) -> dict[UUID, datetime]:
    """The earliest date of each source's listings, among some observables."""
    values = {"tenants": visible_tenants(tenant), "low": ids.low, "high": ids.high}
    return {row[0]: row[1] for row in session.execute(_STARTS, values)}


def read_listings(
    session: Session,
    tenant: str,
    sources: Sequence[tuple[UUID, datetime | None]],
    harmless: Collection[str],
    ids: IdRange,
) -> list[ListingRow]:
    """Who lists what, and in which order, counted over some observables.

    Args:
        session: the tenant's transaction.
        tenant: the tenant.
        sources: by their numbers, with the date of their first listing.
        harmless: words of allow-lists for what is harmless.
        ids: the observables.
    """
    values = {
        "tenant": tenant,
        "tenants": visible_tenants(tenant),
        "sources": [source for source, _ in sources],
        "starts": [start for _, start in sources],
        "harmless": f'"({"|".join(sorted(harmless))})"\\]',
        "low": ids.low,
        "high": ids.high,
    }
    return [ListingRow(*row) for row in session.execute(_LISTINGS, values)]


def replace_pairs(session: Session, tenant: str, pairs: Iterable[PairRow]) -> None:
    """Store the pairs of a tenant in the place of those of before."""
    session.execute(sa.delete(SOURCE_PAIR).where(SOURCE_PAIR.c.tenant == tenant))
    rows = [{"tenant": tenant, **pair._asdict()} for pair in pairs]
    if rows:
        session.execute(sa.insert(SOURCE_PAIR), rows)


def list_pairs(session: Session) -> list[sa.Row[Any]]:
    """The pairs that the tenant sees, the most probable first."""
    table = SOURCE_PAIR
    copier = SOURCE.alias("copier")
    original = SOURCE.alias("original")
    query = (
        sa.select(table, copier.c.name.label("copier"), original.c.name.label("original"))
        .join(copier, copier.c.id == table.c.copier_id)
        .join(original, original.c.id == table.c.original_id)
        .order_by(table.c.probability.desc(), table.c.copier_id, table.c.original_id)
    )
    return list(session.execute(query))
