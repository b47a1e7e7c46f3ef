"""The SQL of the questions: what is stored about observables now, or was at a moment."""

import struct
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID
from weakref import WeakSet

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.models import ASSERTION, OBSERVABLE, RUN_CHUNK, SOURCE
from services.observables.search import Range, beginning
from shared.database import PUBLIC

_SAID: Final = (
    "tenant, source_id, confidence, tags, attack, malware, first_seen, last_seen, valid_until, retracted_at, "
    "observed_at"
)
_COLUMNS: Final = f"observable_id, {_SAID}"
_MINE: Final = "tenant = ANY(%(tenants)s) AND {id} = ANY(%(ids)s)"
_ASSERTIONS_NOW: Final = f"SELECT {_COLUMNS} FROM assertion WHERE {_MINE.format(id='observable_id')}"  # noqa: S608
_ASSERTIONS_THEN: Final = (
    f"{_ASSERTIONS_NOW} AND recorded_at <= %(as_of)s UNION ALL SELECT {_COLUMNS} FROM assertion_past "  # noqa: S608
    f"WHERE {_MINE.format(id='observable_id')} AND recorded_at <= %(as_of)s AND recorded_until > %(as_of)s"
)
_SOURCE_COLUMNS: Final = "tenant, id, name, reliability, tlp, kind, confirmed_at"
_SOURCES_THEN: Final = (
    f"(SELECT {_SOURCE_COLUMNS} FROM source WHERE recorded_at <= %(as_of)s UNION ALL SELECT {_SOURCE_COLUMNS} "  # noqa: S608
    "FROM source_past WHERE recorded_at <= %(as_of)s AND recorded_until > %(as_of)s)"
)


def _assertions(assertions: str, sources: str) -> str:
    """In the order of `Assertion`, then what its claim needs; what a run says about many comes once, with their ids."""
    return (
        "SELECT a.ids, s.name, a.source_id::text, a.tenant, s.tlp, s.reliability, a.confidence, "  # noqa: S608
        "a.tags, a.attack, a.malware, a.first_seen, a.last_seen, a.valid_until, a.retracted_at, s.kind, "
        f"s.confirmed_at, a.observed_at FROM (SELECT array_agg(observable_id)::text AS ids, {_SAID} "
        f"FROM ({assertions}) one GROUP BY {_SAID}) a "
        f"JOIN {sources} s ON s.tenant = a.tenant AND s.id = a.source_id"
    )


_NOW: Final = _assertions(_ASSERTIONS_NOW, "source")
_THEN: Final = _assertions(_ASSERTIONS_THEN, _SOURCES_THEN)
# The tenant's own row comes before the public one.
_OBSERVABLES: Final = (
    "SELECT id::text, tenant, type, value, context::text, first_seen, depth FROM observable "  # noqa: S608
    f"WHERE {_MINE.format(id='id')} ORDER BY tenant = '{PUBLIC}'"
)
_CONTEXTS_THEN: Final = (
    "SELECT DISTINCT ON (tenant, observable_id) tenant, observable_id::text, context::text FROM context_past "  # noqa: S608
    f"WHERE {_MINE.format(id='observable_id')} AND recorded_until > %(as_of)s "
    "ORDER BY tenant, observable_id, recorded_until"
)
_SIGHTINGS_NOW: Final = (
    "SELECT observable_id::text, id::text, kind, count, place, note, first_seen, last_seen, actor "  # noqa: S608
    f"FROM sighting WHERE {_MINE.format(id='observable_id')}"
)
_SIGHTINGS_THEN: Final = f"{_SIGHTINGS_NOW} AND recorded_at <= %(as_of)s"
_ANSWER_COLUMNS: Final = "observable_id, enricher, tenant, found, facts, weights, obtained_at, expires_at, counts_until"
_ANSWERS_NOW: Final = f"SELECT {_ANSWER_COLUMNS} FROM enrichment WHERE {_MINE.format(id='observable_id')}"  # noqa: S608
_ANSWERS_THEN: Final = (
    f"{_ANSWERS_NOW} AND recorded_at <= %(as_of)s UNION ALL SELECT {_ANSWER_COLUMNS} FROM enrichment_past "  # noqa: S608
    f"WHERE {_MINE.format(id='observable_id')} AND recorded_at <= %(as_of)s AND recorded_until > %(as_of)s"
)


def _answers(answers: str) -> str:
    """Of a tenant's own answer and a shared one, the newer."""
    return (
        "SELECT DISTINCT ON (observable_id, enricher) observable_id::text, enricher, tenant, found, facts::text, "  # noqa: S608
        f"weights::text, obtained_at, expires_at, counts_until FROM ({answers}) e "
        "ORDER BY observable_id, enricher, obtained_at DESC"
    )


_TOLD_NOW: Final = _answers(_ANSWERS_NOW)
_TOLD_THEN: Final = _answers(_ANSWERS_THEN)
_FEW: Final = 200
_UUID: Final = psycopg.adapters.types["uuid"]
_PREFIXES: Final = (
    "SELECT DISTINCT y.type, l.prefix FROM unnest(%(tenants)s::text[]) t(tenant), "
    "(VALUES ('ipv4-addr'), ('ipv6-addr')) y(type), LATERAL (WITH RECURSIVE walk AS ("
    "(SELECT prefix FROM observable o WHERE o.tenant = t.tenant AND o.type = y.type AND prefix IS NOT NULL "
    "ORDER BY prefix LIMIT 1) UNION ALL SELECT (SELECT o.prefix FROM observable o WHERE o.tenant = t.tenant "
    "AND o.type = y.type AND o.prefix > walk.prefix ORDER BY o.prefix LIMIT 1) FROM walk WHERE walk.prefix IS NOT NULL"
    ") SELECT prefix FROM walk WHERE prefix IS NOT NULL) l"
)
_INSIDE: Final = (
    "SELECT r.n, i.id::text FROM unnest(%(lows)s::text[], %(highs)s::text[]) WITH ORDINALITY r(low, high, n), "
    "LATERAL (SELECT DISTINCT id FROM observable o WHERE o.tenant = ANY(%(tenants)s) "
    'AND o.key >= r.low COLLATE "C" AND o.key < r.high COLLATE "C" LIMIT %(most)s) i'
)


class Ids:
    """UUIDs as one parameter of a statement: thousands are written, and read by PostgreSQL, several times as fast."""

    def __init__(self, ids: Collection[str]) -> None:
        # What PostgreSQL sends and takes as uuid[]: one dimension, no NULL, the type, how many, from 1; then each with
        # its length.
        length = "00000010"
        body = f"{length}{length.join(ids)}".replace("-", "") if ids else ""
        self.packed = struct.pack("!5i", 1, 0, _UUID.oid, len(ids), 1) + bytes.fromhex(body)


class _IdsDumper(psycopg.adapt.Dumper):
    format = psycopg.pq.Format.BINARY
    oid = _UUID.array_oid

    def dump(self, obj: Ids) -> bytes:
        return obj.packed


_acquainted: WeakSet[psycopg.Connection] = WeakSet()


def _acquaint(connection: psycopg.Connection) -> None:
    """Let a connection take `Ids`; those of SQLAlchemy know nothing of what is registered for all."""
    if connection not in _acquainted:
        connection.adapters.register_dumper(Ids, _IdsDumper)
        _acquainted.add(connection)


class Gathered(NamedTuple):
    """Everything stored about some observables that a tenant may see: its own and the public rows.

    Attributes:
        observables: id, tenant, type, value, context as JSON, first_seen, and how many answers it is away from what a
            source said.
        assertions: by id; the columns of `views.Assertion`, then kind, confirmed_at of the source and observed_at.
            Observables of which a source says the same share the row.
        sightings: by id; the columns of `views.Reported`.
        answers: of remote enrichers, by id; the columns of `views.Answer`, with JSON as text, and counts_until.
    """

    observables: Sequence[tuple[Any, ...]]
    assertions: dict[str, list[tuple[Any, ...]]]
    sightings: dict[str, list[tuple[Any, ...]]]
    answers: dict[str, list[tuple[Any, ...]]]


def gather(
    connection: psycopg.Connection, tenant: str, ids: Collection[str], as_of: datetime | None = None
) -> Gathered:
    """What is stored about observables, now or as it was recorded at a moment."""
    if not ids:
        return Gathered([], {}, {}, {})
    _acquaint(connection)
    asked = {"tenants": _tenants(tenant), "ids": Ids(ids), "as_of": as_of}
    first = connection.cursor(binary=True).execute(_OBSERVABLES, asked)
    if len(ids) > _FEW:  # of many, those that are unknown are not asked for again
        asked["ids"] = Ids({row[0] for row in first.fetchall()})
        first.scroll(0, "absolute")
    statements = (_NOW, _SIGHTINGS_NOW, _TOLD_NOW) if as_of is None else (_THEN, _SIGHTINGS_THEN, _TOLD_THEN)
    assertions, sightings, answers = (
        connection.cursor(binary=True).execute(statement, asked) for statement in statements
    )
    then = connection.cursor().execute(_CONTEXTS_THEN, asked) if as_of is not None else None
    observables: Sequence[tuple[Any, ...]] = first.fetchall()
    if then is not None:
        contexts = {(owner, one): context for owner, one, context in then.fetchall()}
        observables = [(*row[:4], contexts.get((row[1], row[0]), row[4]), *row[5:]) for row in observables]
    return Gathered(
        observables, _by_ids(assertions.fetchall()), _by_id(sightings.fetchall()), _by_id(answers.fetchall())
    )


def connection_of(session: Session) -> psycopg.Connection:
    """The connection of a transaction that also writes."""
    connection: psycopg.Connection = session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection


def _by_id(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        identity = row[0]
        if identity in grouped:
            grouped[identity].append(row[1:])
        else:
            grouped[identity] = [row[1:]]
    return grouped


def _by_ids(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for ids, *said in sorted(rows, key=itemgetter(1, 2)):  # by the name of the source
        row = tuple(said)
        for identity in ids[1:-1].split(","):  # an array as PostgreSQL writes it
            if identity in grouped:
                grouped[identity].append(row)
            else:
                grouped[identity] = [row]
    return grouped


def _tenants(tenant: str) -> list[str]:
    return list({tenant, PUBLIC})


def ask_prefixes(connection: psycopg.Connection, tenant: str) -> psycopg.Cursor:
    """Ask for the prefix lengths of the networks that are stored: a handful, found by as many steps."""
    return connection.execute(_PREFIXES, {"tenants": _tenants(tenant)})


def prefixes(asked: psycopg.Cursor) -> dict[str, list[int]]:
    """The prefix lengths that were asked for, by type of address."""
    found: dict[str, list[int]] = {}
    for type_, prefix in asked.fetchall():
        found.setdefault(type_, []).append(prefix)
    return found


def inside(connection: psycopg.Connection, tenant: str, ranges: Sequence[Range], most: int) -> list[list[str]]:
    """Ids of observables within each range of keys, at most `most` of each."""
    if not ranges:
        return []
    asked: dict[str, Any] = {"lows": [one.low for one in ranges], "highs": [one.high for one in ranges], "most": most}
    found: list[list[str]] = [[] for _ in ranges]
    for place, identity in connection.execute(_INSIDE, asked | {"tenants": _tenants(tenant)}).fetchall():
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


def page(session: Session, tenant: str, wanted: Filter, after: UUID | None, limit: int) -> list[str]:
    """Ids of observables in the order of their ids, each once, beginning after `after`."""
    identity = OBSERVABLE.c.id
    parts = []
    for one in _tenants(tenant) if wanted.prefix is not None else ():
        for begins in _beginnings(wanted.prefix or ""):
            part = _filtered(sa.select(identity), wanted).where(OBSERVABLE.c.tenant == one, begins)
            part = part if after is None else part.where(identity > after)
            parts.append(part.order_by(identity).limit(limit).subquery())
    if parts:
        union = sa.union(*(sa.select(part.c.id) for part in parts)).subquery()
        return [str(found) for found in session.scalars(sa.select(union.c.id).order_by(union.c.id).limit(limit))]
    query = _filtered(sa.select(identity).distinct().order_by(identity).limit(limit), wanted)
    if after is not None:
        query = query.where(identity > after)
    return [str(found) for found in session.scalars(query)]


def _beginnings(prefix: str) -> list[sa.ColumnElement[bool]]:
    """Where an index finds values that begin like that; together they leave out none."""
    start, key, last = OBSERVABLE.c.beginning, OBSERVABLE.c.key, chr(sys.maxunicode)
    others = sa.or_(*(sa.and_(key >= low, key < high) for low, high in beginning(prefix)))
    return [sa.and_(start >= prefix, start < prefix + last), sa.and_(start.is_(None), others)]


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
