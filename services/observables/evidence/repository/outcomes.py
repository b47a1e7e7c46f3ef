"""The SQL of what came out about listings, and of the quality of sources that follows."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.evidence.models import EVIDENCE_POLICY, SOURCE_QUALITY
from services.observables.evidence.repository.copies import IdRange, visible_tenants
from services.observables.store.models import SOURCE
from shared.database import PUBLIC

HALF_LIFE_DAYS: Final = 3
"""After so many days a listing counts half: a source that turns bad shows it within a week."""
_RANGE: Final = "BETWEEN CAST(:low AS uuid) AND CAST(:high AS uuid)"
# In this order decide: a person's newest judgement, an allow-list, providers, and two other origins
# that can be relied on. What none of them knows tells nothing.
_OUTCOMES: Final = sa.text(
    "WITH listing AS ("  # noqa: S608  # constants
    "SELECT a.observable_id, a.source_id, s.origin, power(0.5::float8, greatest(0, "
    "extract(epoch FROM now() - a.first_seen)::float8) / (86400 * :half_life)) AS weight "
    "FROM assertion a JOIN unnest(CAST(:sources AS uuid[]), CAST(:origins AS text[])) "
    "s(id, origin) ON s.id = a.source_id WHERE a.tenant = ANY(:tenants) "
    f"AND a.retracted_at IS NULL AND a.observable_id {_RANGE}), "
    "witness AS (SELECT observable_id, count(DISTINCT origin) AS origins FROM listing "
    "WHERE origin <> '' GROUP BY 1), "
    "judged AS (SELECT DISTINCT ON (observable_id) observable_id, kind FROM sighting "
    "WHERE kind IN ('confirmed-malicious', 'false-positive') AND withdrawn_at IS NULL "
    f"AND tenant = ANY(:tenants) AND observable_id {_RANGE} "
    "ORDER BY observable_id, last_seen DESC, id), "
    "answered AS (SELECT observable_id, max((part->>0)::float8) AS most, "
    "min((part->>0)::float8) AS least FROM enrichment e, jsonb_array_elements(e.weights) part "
    f"WHERE e.tenant = ANY(:tenants) AND e.observable_id {_RANGE} AND e.counts_until > now() "
    "GROUP BY 1), "
    "described AS (SELECT DISTINCT ON (id) id, type, context::text ~ :harmless AS is_harmless "
    f"FROM observable WHERE tenant = ANY(:tenants) AND id {_RANGE} "
    "ORDER BY id, tenant = :tenant DESC), "
    "labelled AS (SELECT l.source_id, d.type, l.weight, CASE "
    "WHEN j.kind IS NOT NULL THEN j.kind = 'confirmed-malicious' "
    "WHEN d.is_harmless OR n.least <= -0.5 THEN false WHEN n.most >= 0.7 THEN true "
    "WHEN w.origins - (l.origin <> '')::int >= 2 THEN true END AS is_bad "
    "FROM listing l JOIN described d ON d.id = l.observable_id "
    "LEFT JOIN judged j ON j.observable_id = l.observable_id "
    "LEFT JOIN answered n ON n.observable_id = l.observable_id "
    "LEFT JOIN witness w ON w.observable_id = l.observable_id) "
    "SELECT source_id, type, coalesce(sum(weight) FILTER (WHERE is_bad), 0.0::float8), "
    "coalesce(sum(weight) FILTER (WHERE NOT is_bad), 0.0::float8), count(*) FILTER (WHERE is_bad), "
    "count(*) FILTER (WHERE NOT is_bad) FROM labelled WHERE is_bad IS NOT NULL GROUP BY 1, 2"
)


class OutcomeRow(NamedTuple):
    """What came out about a source's listings of one type, in the order of its columns."""

    source: UUID
    type: str
    right: float
    wrong: float
    right_count: int
    wrong_count: int


class QualityRow(NamedTuple):
    """The quality of a source for a type, or for all (empty); the fields are columns."""

    source_id: UUID
    type: str
    right_count: int
    wrong_count: int
    stated: int
    learned: int
    low: int
    high: int
    is_applied: bool


class GradedSource(NamedTuple):
    """A source with the reliability that people gave it, in the order of its columns."""

    tenant: str
    id: UUID
    reliability: int
    origin: str
    derived_from: tuple[str, ...]
    measurements: str


def graded_sources(session: Session, tenant: str) -> list[GradedSource]:
    """The sources that a tenant sees, its own first."""
    columns = tuple(SOURCE.c[name] for name in GradedSource._fields)
    query = (
        sa.select(*columns)
        .where(SOURCE.c.tenant.in_(visible_tenants(tenant)))
        .order_by(SOURCE.c.tenant == PUBLIC, SOURCE.c.id)
    )
    return [GradedSource(*row) for row in session.execute(query)]


def read_outcomes(
    session: Session,
    tenant: str,
    witnesses: Sequence[tuple[UUID, str]],
    harmless: Collection[str],
    ids: IdRange,
) -> list[OutcomeRow]:
    """What came out about listings of some observables.

    Args:
        session: the tenant's transaction.
        tenant: the tenant.
        witnesses: sources, each with its origin as a witness for others; empty if it is none.
        harmless: words of allow-lists for what is harmless.
        ids: the observables.
    """
    values = {
        "tenant": tenant,
        "tenants": visible_tenants(tenant),
        "sources": [source for source, _ in witnesses],
        "origins": [origin for _, origin in witnesses],
        "harmless": f'"({"|".join(sorted(harmless))})"\\]',
        "half_life": HALF_LIFE_DAYS,
        "low": ids.low,
        "high": ids.high,
    }
    return [OutcomeRow(*row) for row in session.execute(_OUTCOMES, values)]


def replace_quality(session: Session, tenant: str, rows: Iterable[QualityRow]) -> None:
    """Store the quality of a tenant's sources in the place of that of before."""
    session.execute(sa.delete(SOURCE_QUALITY).where(SOURCE_QUALITY.c.tenant == tenant))
    values = [{"tenant": tenant, **row._asdict()} for row in rows]
    if values:
        session.execute(sa.insert(SOURCE_QUALITY), values)


def list_quality(session: Session) -> list[sa.Row[Any]]:
    """The quality of the sources that the tenant sees, by their names; all types first."""
    query = (
        sa.select(SOURCE_QUALITY, SOURCE.c.name.label("source"))
        .join(SOURCE, SOURCE.c.id == SOURCE_QUALITY.c.source_id)
        .order_by(SOURCE.c.name, SOURCE_QUALITY.c.source_id, SOURCE_QUALITY.c.type)
    )
    return list(session.execute(query))


def is_learning_applied(session: Session, tenant: str) -> bool:
    """Whether a tenant lets what is learned count."""
    query = sa.select(EVIDENCE_POLICY.c.applies_learning).where(EVIDENCE_POLICY.c.tenant == tenant)
    return bool(session.scalar(query))


def put_policy(session: Session, tenant: str, *, applies_learning: bool) -> None:
    """Store whether what is learned counts."""
    statement = insert(EVIDENCE_POLICY).values(tenant=tenant, applies_learning=applies_learning)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant"], set_={"applies_learning": applies_learning}
        )
    )
