"""The SQL of the questions: what is stored about observables now, or was at a moment."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.models import ASSERTION, OBSERVABLE, RUN_CHUNK, SOURCE
from services.observables.search import Range
from shared.database import PUBLIC

_COLUMNS: Final = (
    "observable_id, tenant, source_id, confidence, tags, attack, malware, first_seen, last_seen, valid_until, "
    "retracted_at, observed_at"
)
_MINE: Final = "tenant = ANY(:tenants) AND {id} = ANY(CAST(:ids AS uuid[]))"
_ASSERTIONS_NOW: Final = f"SELECT {_COLUMNS} FROM assertion WHERE {_MINE.format(id='observable_id')}"  # noqa: S608
_ASSERTIONS_THEN: Final = (
    f"{_ASSERTIONS_NOW} AND recorded_at <= :as_of UNION ALL SELECT {_COLUMNS} FROM assertion_past "  # noqa: S608
    f"WHERE {_MINE.format(id='observable_id')} AND recorded_at <= :as_of AND recorded_until > :as_of"
)
_SOURCE_COLUMNS: Final = "tenant, id, name, reliability, tlp, kind, confirmed_at"
_SOURCES_THEN: Final = (
    f"(SELECT {_SOURCE_COLUMNS} FROM source WHERE recorded_at <= :as_of UNION ALL SELECT {_SOURCE_COLUMNS} "  # noqa: S608
    "FROM source_past WHERE recorded_at <= :as_of AND recorded_until > :as_of)"
)


def _assertions(assertions: str, sources: str) -> sa.TextClause:
    return sa.text(
        "SELECT a.observable_id::text AS id, a.tenant, a.source_id::text AS source_id, s.name AS source, "  # noqa: S608
        "s.reliability, s.tlp, s.kind, s.confirmed_at, a.confidence, a.tags, a.attack, a.malware, a.first_seen, "
        "a.last_seen, a.valid_until, a.retracted_at, a.observed_at "
        f"FROM ({assertions}) a JOIN {sources} s ON s.tenant = a.tenant AND s.id = a.source_id"
    )


_NOW: Final = _assertions(_ASSERTIONS_NOW, "source")
_THEN: Final = _assertions(_ASSERTIONS_THEN, _SOURCES_THEN)
_OBSERVABLES: Final = sa.text(
    "SELECT id::text AS id, tenant, type, value, context::text AS context "  # noqa: S608  # a constant
    f"FROM observable WHERE {_MINE.format(id='id')} ORDER BY tenant = '{PUBLIC}'"
)
_CONTEXTS_THEN: Final = sa.text(
    "SELECT DISTINCT ON (tenant, observable_id) observable_id::text AS id, tenant, context::text AS context "  # noqa: S608
    f"FROM context_past WHERE {_MINE.format(id='observable_id')} AND recorded_until > :as_of "
    "ORDER BY tenant, observable_id, recorded_until"
)
_SIGHTINGS: Final = (
    "SELECT observable_id::text AS id, tenant, id::text AS sighting_id, kind, count AS times, place, note, first_seen, "  # noqa: S608
    f"last_seen, actor FROM sighting WHERE {_MINE.format(id='observable_id')}"
)
_SIGHTINGS_NOW: Final = sa.text(_SIGHTINGS)
_SIGHTINGS_THEN: Final = sa.text(f"{_SIGHTINGS} AND recorded_at <= :as_of")
_PREFIXES: Final = sa.text(
    "SELECT DISTINCT y.type, l.prefix FROM unnest(CAST(:tenants AS text[])) t(tenant), "
    "(VALUES ('ipv4-addr'), ('ipv6-addr')) y(type), LATERAL (WITH RECURSIVE walk AS ("
    "(SELECT prefix FROM observable o WHERE o.tenant = t.tenant AND o.type = y.type AND prefix IS NOT NULL "
    "ORDER BY prefix LIMIT 1) UNION ALL SELECT (SELECT o.prefix FROM observable o WHERE o.tenant = t.tenant "
    "AND o.type = y.type AND o.prefix > walk.prefix ORDER BY o.prefix LIMIT 1) FROM walk WHERE walk.prefix IS NOT NULL"
    ") SELECT prefix FROM walk WHERE prefix IS NOT NULL) l"
)
_INSIDE: Final = sa.text(
    "SELECT r.n, i.id::text AS id FROM unnest(CAST(:lows AS text[]), CAST(:highs AS text[])) WITH ORDINALITY "
    "r(low, high, n), LATERAL (SELECT DISTINCT id FROM observable o WHERE o.tenant = ANY(:tenants) "
    'AND o.key >= r.low COLLATE "C" AND o.key < r.high COLLATE "C" LIMIT :most) i'
)


class Gathered(NamedTuple):
    """Everything stored about some observables that a tenant may see: its own and the public rows."""

    observables: Sequence[Any]
    assertions: Sequence[Any]
    sightings: Sequence[Any]


def gather(session: Session, tenant: str, ids: Iterable[str], as_of: datetime | None = None) -> Gathered:
    """What is stored about observables, now or as it was recorded at a moment."""
    asked: dict[str, Any] = {"tenants": _tenants(tenant), "ids": "{" + ",".join(ids) + "}"}
    observables = session.execute(_OBSERVABLES, asked).all()
    if not observables:
        return Gathered([], [], [])
    if as_of is None:
        return Gathered(observables, session.execute(_NOW, asked).all(), session.execute(_SIGHTINGS_NOW, asked).all())
    asked["as_of"] = as_of
    then = {(row.tenant, row.id): row.context for row in session.execute(_CONTEXTS_THEN, asked)}
    known = [_Observable(o.id, o.tenant, o.type, o.value, then.get((o.tenant, o.id), o.context)) for o in observables]
    return Gathered(known, session.execute(_THEN, asked).all(), session.execute(_SIGHTINGS_THEN, asked).all())


class _Observable(NamedTuple):
    id: str
    tenant: str
    type: str
    value: str
    context: str


def _tenants(tenant: str) -> list[str]:
    return list({tenant, PUBLIC})


def prefixes(session: Session, tenant: str) -> dict[str, list[int]]:
    """The prefix lengths of the networks that are stored, by type of address: a handful, found by as many steps."""
    found: dict[str, list[int]] = {"ipv4-addr": [], "ipv6-addr": []}
    for type_, prefix in session.execute(_PREFIXES, {"tenants": _tenants(tenant)}):
        found[type_].append(prefix)
    return found


def inside(session: Session, tenant: str, ranges: Sequence[Range], most: int) -> list[list[str]]:
    """Ids of observables within each range of keys, at most `most` of each."""
    asked = {"lows": [one.low for one in ranges], "highs": [one.high for one in ranges], "most": most}
    found: list[list[str]] = [[] for _ in ranges]
    for place, identity in session.execute(_INSIDE, asked | {"tenants": _tenants(tenant)}):
        found[place - 1].append(identity)
    return found


class Filter(NamedTuple):
    """Which observables a list or a count is about; None does not filter.

    Attributes:
        min_score: of the score as it was last announced; time may have taken some of it since.
        prefix: how the value begins.
        ranges: of search keys.
    """

    source: UUID | None = None
    type: str | None = None
    min_score: int | None = None
    tag: str | None = None
    prefix: str | None = None
    ranges: Sequence[Range] = ()


def page(session: Session, wanted: Filter, after: UUID | None, limit: int) -> list[str]:
    """Ids of observables in the order of their ids, each once, beginning after `after`."""
    query = _filtered(sa.select(OBSERVABLE.c.id).distinct().order_by(OBSERVABLE.c.id).limit(limit), wanted)
    if after is not None:
        query = query.where(OBSERVABLE.c.id > after)
    return [str(identity) for identity in session.scalars(query)]


def page_by_key(
    session: Session, tenant: str, wanted: Filter, after: tuple[str, UUID] | None, limit: int
) -> list[tuple[str, UUID]]:
    """Keys and ids in the order of search keys, each once, beginning after `after`."""
    key, identity = OBSERVABLE.c.key, OBSERVABLE.c.id
    parts = []
    for one in _tenants(tenant):
        for low, high in wanted.ranges:
            query = _filtered(sa.select(key, identity), wanted).where(
                OBSERVABLE.c.tenant == one, key >= low, key < high
            )
            if after is not None:
                query = query.where(key >= after[0], sa.or_(key > after[0], identity > after[1]))
            parts.append(query.order_by(key, identity).limit(limit).subquery())
    union = sa.union(*(sa.select(part.c.key, part.c.id) for part in parts)).subquery()
    query = sa.select(union.c.key, union.c.id).order_by(union.c.key, union.c.id).limit(limit)
    return [(row.key, row.id) for row in session.execute(query)]


def count(session: Session, wanted: Filter) -> int:
    """How many distinct observables match."""
    query = _filtered(sa.select(OBSERVABLE.c.id).distinct(), wanted)
    if wanted.ranges:
        key = OBSERVABLE.c.key
        query = query.where(sa.or_(*(sa.and_(key >= low, key < high) for low, high in wanted.ranges)))
    return session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def _filtered(query: sa.Select[Any], wanted: Filter) -> sa.Select[Any]:
    if wanted.source is not None or wanted.tag is not None:
        asserted = sa.select(sa.literal(1)).where(
            ASSERTION.c.tenant == OBSERVABLE.c.tenant,
            ASSERTION.c.observable_id == OBSERVABLE.c.id,
            ASSERTION.c.retracted_at.is_(None),
        )
        if wanted.source is not None:
            asserted = asserted.where(ASSERTION.c.source_id == wanted.source)
        if wanted.tag is not None:
            asserted = asserted.where(ASSERTION.c.tags.contains([wanted.tag]))
        query = query.where(asserted.exists())
    if wanted.type is not None:
        query = query.where(OBSERVABLE.c.type == wanted.type)
    if wanted.min_score is not None:
        query = query.where(OBSERVABLE.c.score >= wanted.min_score)
    if wanted.prefix is not None:
        query = query.where(sa.func.starts_with(OBSERVABLE.c.value, wanted.prefix))
    return query


_RELATIONS: Final = sa.text(
    "SELECT tenant, from_id::text AS from_id, kind, to_id::text AS to_id, source, first_seen, last_seen FROM relation "
    "WHERE tenant = ANY(:tenants) AND (from_id = CAST(:id AS uuid) OR to_id = CAST(:id AS uuid)) "
    "ORDER BY kind, last_seen DESC LIMIT :most"
)


def relations(session: Session, tenant: str, identity: str, most: int) -> Sequence[sa.Row[Any]]:
    """Stored relations from and to an observable."""
    return session.execute(_RELATIONS, {"tenants": _tenants(tenant), "id": identity, "most": most}).all()


def sources(session: Session) -> Sequence[sa.Row[Any]]:
    """The sources the tenant can see, each with the number of observables it asserts."""
    asserted = sa.and_(
        ASSERTION.c.tenant == SOURCE.c.tenant, ASSERTION.c.source_id == SOURCE.c.id, ASSERTION.c.retracted_at.is_(None)
    )
    counted = sa.func.count(ASSERTION.c.observable_id).label("observables")
    query = sa.select(SOURCE, counted).outerjoin(ASSERTION, asserted).group_by(SOURCE.c.tenant, SOURCE.c.id)
    return session.execute(query.order_by(SOURCE.c.name)).all()


def run_progress(session: Session, run_id: UUID) -> sa.Row[Any]:
    """Sums over a run's chunks: chunks, received, new, changed, rejected."""
    columns = ("received", "new", "changed", "rejected")
    sums = [sa.func.coalesce(sa.func.sum(RUN_CHUNK.c[name]), 0).label(name) for name in columns]
    query = sa.select(sa.func.count().label("chunks"), *sums).where(RUN_CHUNK.c.run_id == run_id)
    return session.execute(query).one()
