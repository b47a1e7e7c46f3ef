"""The SQL of the questions: what is stored about observables now, or was at a moment."""

import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.store.models import ASSERTION, OBSERVABLE, RELATION, RUN_CHUNK, SOURCE
from services.observables.store.search_keys import Range, beginning
from shared.database import PUBLIC
from shared.stix import refang
from shared.uuids import UuidArray

_SAID: Final = (
    "tenant, source_id, confidence, tags, attack, malware, first_seen, last_seen, valid_until, retracted_at, "
    "observed_at"
)
_COLUMNS: Final = f"observable_id, {_SAID}"
_MINE: Final = f"tenant IN (%(tenant)s, '{PUBLIC}') AND {{id}} = ANY(%(ids)s)"
_OF_KNOWN: Final = (
    f"tenant IN (%(tenant)s, '{PUBLIC}') AND observable_id = ANY(ARRAY(SELECT id FROM known))"  # noqa: S608
)
_ASSERTIONS_NOW: Final = f"SELECT {_COLUMNS} FROM assertion WHERE {_OF_KNOWN}"  # noqa: S608
_ASSERTIONS_THEN: Final = (
    f"{_ASSERTIONS_NOW} AND recorded_at <= %(as_of)s UNION ALL SELECT {_COLUMNS} FROM assertion_past "  # noqa: S608
    f"WHERE {_OF_KNOWN} AND recorded_at <= %(as_of)s AND recorded_until > %(as_of)s"
)
_SOURCE_COLUMNS: Final = "tenant, id, name, reliability, tlp, kind, confirmed_at"
_SOURCES_THEN: Final = (
    f"(SELECT {_SOURCE_COLUMNS} FROM source WHERE recorded_at <= %(as_of)s UNION ALL SELECT {_SOURCE_COLUMNS} "  # noqa: S608
    "FROM source_past WHERE recorded_at <= %(as_of)s AND recorded_until > %(as_of)s)"
)


def _known(assertions: str, sources: str) -> str:
    """Observables, then what sources say about those that are there; in one statement, which finds them once.

    The columns of an observable are in the order of `Gathered`. A row with a confidence is what a source says: in place
    of an observable's id, type, value, context and depth are the ids of all it is said about, the name, id and TLP of
    the source, and its reliability.
    """
    return (
        "WITH known AS MATERIALIZED (SELECT id, tenant, type, value, context::text AS context, first_seen, depth "  # noqa: S608
        f"FROM observable WHERE {_MINE.format(id='id')}), "
        f"said AS (SELECT array_agg(observable_id)::text AS ids, {_SAID} FROM ({assertions}) one GROUP BY {_SAID}) "
        "SELECT id::text, tenant, type, value, context, first_seen, depth, NULL::smallint, NULL::text[], NULL::text[], "
        "NULL::text, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::text, NULL::timestamptz, "
        "NULL::timestamptz FROM known UNION ALL "
        "SELECT a.ids, a.tenant, s.name, a.source_id::text, s.tlp, a.first_seen, s.reliability, a.confidence, a.tags, "
        "a.attack, a.malware, a.last_seen, a.valid_until, a.retracted_at, s.kind, s.confirmed_at, a.observed_at "
        f"FROM said a JOIN {sources} s ON s.tenant = a.tenant AND s.id = a.source_id"
    )


_CONFIDENCE: Final = 7
_assertion_of: Final = itemgetter(2, 3, 1, 4, 6, 7, 8, 9, 10, 5, 11, 12, 13, 14, 15, 16)
"""From a row of `_known` to the order of `Assertion`, then what its claim needs."""

_NOW: Final = _known(_ASSERTIONS_NOW, "source")
_THEN: Final = _known(_ASSERTIONS_THEN, _SOURCES_THEN)
_CONTEXTS_THEN: Final = (
    "SELECT DISTINCT ON (tenant, observable_id) tenant, observable_id::text, context::text FROM context_past "  # noqa: S608
    f"WHERE {_MINE.format(id='observable_id')} AND recorded_until > %(as_of)s "
    "ORDER BY tenant, observable_id, recorded_until"
)
_SIGHTINGS: Final = (
    "SELECT observable_id::text, id::text, kind, count, place, note, first_seen, last_seen, actor "  # noqa: S608
    f"FROM sighting WHERE {_MINE.format(id='observable_id')}"
)
_SIGHTINGS_NOW: Final = f"{_SIGHTINGS} AND withdrawn_at IS NULL"
_SIGHTINGS_THEN: Final = (
    f"{_SIGHTINGS} AND recorded_at <= %(as_of)s "
    "AND (withdrawn_at IS NULL OR withdrawn_at > %(as_of)s)"
)
_ANSWER_COLUMNS: Final = (
    "observable_id, enricher, tenant, found, facts, weights, obtained_at, expires_at, counts_until"
)
_ANSWERS_NOW: Final = (
    f"SELECT {_ANSWER_COLUMNS} FROM enrichment WHERE {_MINE.format(id='observable_id')}"  # noqa: S608
)
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
_PREFIXES: Final = (
    f"SELECT DISTINCT y.type, l.prefix FROM (VALUES (%(tenant)s), ('{PUBLIC}')) t(tenant), "  # noqa: S608
    "(VALUES ('ipv4-addr'), ('ipv6-addr')) y(type), LATERAL (WITH RECURSIVE walk AS ("
    "(SELECT prefix FROM observable o WHERE o.tenant = t.tenant AND o.type = y.type AND prefix IS NOT NULL "
    "ORDER BY prefix LIMIT 1) UNION ALL SELECT (SELECT o.prefix FROM observable o WHERE o.tenant = t.tenant "
    "AND o.type = y.type AND o.prefix > walk.prefix ORDER BY o.prefix LIMIT 1) FROM walk WHERE walk.prefix IS NOT NULL"
    ") SELECT prefix FROM walk WHERE prefix IS NOT NULL) l"
)
_PUBLIC: Final = f"'{PUBLIC}'"
_WITHIN: Final = (
    "SELECT id FROM observable WHERE tenant = {tenant} "
    'AND key >= r.low COLLATE "C" AND key < r.high COLLATE "C" LIMIT %(most)s'
)
_INSIDE: Final = (
    "SELECT r.n, i.id::text FROM unnest(%(lows)s::text[], %(highs)s::text[]) WITH ORDINALITY r(low, high, n), "  # noqa: S608
    f"LATERAL (SELECT id FROM (({_WITHIN.format(tenant='%(tenant)s')}) UNION "
    f"({_WITHIN.format(tenant=_PUBLIC)})) held LIMIT %(most)s) i"
)


class Gathered(NamedTuple):
    """Everything stored about some observables that a tenant may see: its own and the public rows.

    Attributes:
        observables: id, tenant, type, value, context as JSON, first_seen, and how many answers it is away from what a
            source said; the tenant's own row comes before the public one.
        assertions: by id; the columns of `views.Assertion`, then kind, confirmed_at of the source and observed_at.
            Observables of which the same is said share them.
        sightings: by id; the columns of `views.Reported`.
        answers: of remote enrichers, by id; the columns of `views.Answer`, with JSON as text, and counts_until.
    """

    observables: Sequence[tuple[Any, ...]]
    assertions: dict[str, Sequence[tuple[Any, ...]]]
    sightings: dict[str, list[tuple[Any, ...]]]
    answers: dict[str, list[tuple[Any, ...]]]


class Asking(NamedTuple):
    """Statements that are under way."""

    known: psycopg.Cursor
    sightings: psycopg.Cursor
    answers: psycopg.Cursor
    contexts: psycopg.Cursor | None


def ask(
    connection: psycopg.Connection, tenant: str, ids: Collection[str], as_of: datetime | None = None
) -> Asking | None:
    """Ask what is stored about observables, now or as it was recorded at a moment."""
    if not ids:
        return None
    asked = {"tenant": tenant, "ids": UuidArray(ids), "as_of": as_of}
    statements = (
        (_NOW, _SIGHTINGS_NOW, _TOLD_NOW) if as_of is None else (_THEN, _SIGHTINGS_THEN, _TOLD_THEN)
    )
    known, sightings, answers = (
        connection.cursor(binary=True).execute(one, asked) for one in statements
    )
    return Asking(
        known,
        sightings,
        answers,
        connection.execute(_CONTEXTS_THEN, asked) if as_of is not None else None,
    )


def answered(asking: Asking | None) -> Gathered:
    """What the statements found."""
    if asking is None:
        return Gathered([], {}, {}, {})
    rows = asking.known.fetchall()
    observables = [row[:_CONFIDENCE] for row in rows if row[_CONFIDENCE] is None]
    if asking.contexts is not None:
        then = {(owner, one): context for owner, one, context in asking.contexts.fetchall()}
        observables = [
            (*row[:4], then.get((row[1], row[0]), row[4]), *row[5:]) for row in observables
        ]
    own = [row for row in observables if row[1] != PUBLIC]
    return Gathered(
        [*own, *(row for row in observables if row[1] == PUBLIC)] if own else observables,
        _by_ids((row[0], _assertion_of(row)) for row in rows if row[_CONFIDENCE] is not None),
        _by_id(asking.sightings.fetchall()),
        _by_id(asking.answers.fetchall()),
    )


def gather(
    connection: psycopg.Connection, tenant: str, ids: Collection[str], as_of: datetime | None = None
) -> Gathered:
    """What is stored about observables, now or as it was recorded at a moment."""
    return answered(ask(connection, tenant, ids, as_of))


def _by_id(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        identity = row[0]
        if identity in grouped:
            grouped[identity].append(row[1:])
        else:
            grouped[identity] = [row[1:]]
    return grouped


def _by_ids(said: Iterable[tuple[str, tuple[Any, ...]]]) -> dict[str, Sequence[tuple[Any, ...]]]:
    """What sources say, by the id of what it is about; those of which the same is said share the sequence."""
    grouped: dict[str, Sequence[tuple[Any, ...]]] = {}
    for ids, one in sorted(said, key=_source):
        alone, together = (one,), dict[int, Sequence[tuple[Any, ...]]]()
        for identity in ids[1:-1].split(","):  # an array as PostgreSQL writes it
            before = grouped.get(identity)
            if before is None:
                grouped[identity] = alone
            else:
                grouped[identity] = together.get(id(before)) or together.setdefault(
                    id(before), (*before, one)
                )
    return grouped


def _source(said: tuple[str, tuple[Any, ...]]) -> tuple[str, str]:
    name, identity, *_ = said[1]
    return name, identity


def _tenants(tenant: str) -> list[str]:
    return list({tenant, PUBLIC})


def ask_prefixes(connection: psycopg.Connection, tenant: str) -> psycopg.Cursor:
    """Ask for the prefix lengths of the networks that are stored: a handful, found by as many steps."""
    return connection.execute(_PREFIXES, {"tenant": tenant})


def prefixes(asked: psycopg.Cursor) -> dict[str, list[int]]:
    """The prefix lengths that were asked for, by type of address."""
    found: dict[str, list[int]] = {}
    for type_, prefix in asked.fetchall():
        found.setdefault(type_, []).append(prefix)
    return found


def ask_inside(
    connection: psycopg.Connection, tenant: str, ranges: Sequence[Range], most: int
) -> psycopg.Cursor:
    """Ask for observables within each range of keys, at most `most` of each."""
    asked = {
        "lows": [one.low for one in ranges],
        "highs": [one.high for one in ranges],
        "most": most,
        "tenant": tenant,
    }
    return connection.execute(_INSIDE, asked)


def inside(asked: psycopg.Cursor, ranges: int) -> list[list[str]]:
    """The ids that were asked for, by range."""
    found: list[list[str]] = [[] for _ in range(ranges)]
    for place, identity in asked.fetchall():
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


def page(
    session: Session, tenant: str, wanted: Filter, after: UUID | None, limit: int
) -> list[str]:
    """Ids of observables in the order of their ids, each once, beginning after `after`."""
    identity = OBSERVABLE.c.id
    parts = []
    for one in _tenants(tenant) if wanted.prefix is not None else ():
        for begins in (
            begins for spelled in _spelled(wanted.prefix or "") for begins in _beginnings(spelled)
        ):
            part = _filtered(sa.select(identity), wanted).where(OBSERVABLE.c.tenant == one, begins)
            part = part if after is None else part.where(identity > after)
            parts.append(part.order_by(identity).limit(limit).subquery())
    if parts:
        union = sa.union(*(sa.select(part.c.id) for part in parts)).subquery()
        return [
            str(found)
            for found in session.scalars(sa.select(union.c.id).order_by(union.c.id).limit(limit))
        ]
    query = _filtered(sa.select(identity).distinct().order_by(identity).limit(limit), wanted)
    if after is not None:
        query = query.where(identity > after)
    return [str(found) for found in session.scalars(query)]


def _spelled(prefix: str) -> tuple[str, ...]:
    """A beginning as it was typed, and as names and hashes are written."""
    return tuple({prefix, prefix.lower(), refang(prefix).lower()})


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
        query = query.where(
            sa.or_(*(sa.and_(key >= low, key < high) for low, high in wanted.ranges))
        )
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
        query = query.where(
            sa.or_(
                *(sa.func.starts_with(OBSERVABLE.c.value, one) for one in _spelled(wanted.prefix))
            )
        )
    return query


class RelationPlace(NamedTuple):
    """The place of a relation in its list, which is in the order of these fields."""

    last_seen: datetime
    from_id: str
    to_id: str
    kind: str
    source: str
    tenant: str


def relations(
    session: Session,
    tenant: str,
    identity: str,
    kind: str | None,
    after: RelationPlace | None,
    limit: int,
) -> Sequence[sa.Row[Any]]:
    """Stored relations from and to an observable, what was seen last first, beginning after `after`."""
    start, end = (
        sa.cast(column, sa.Text).label(column.name)
        for column in (RELATION.c.from_id, RELATION.c.to_id)
    )
    place = (
        RELATION.c.last_seen,
        start,
        end,
        RELATION.c.kind,
        RELATION.c.source,
        RELATION.c.tenant,
    )
    query = sa.select(*place, RELATION.c.first_seen).where(
        RELATION.c.tenant.in_(_tenants(tenant)),
        sa.or_(RELATION.c.from_id == identity, RELATION.c.to_id == identity),
    )
    if kind is not None:
        query = query.where(RELATION.c.kind == kind)
    if after is not None:
        query = query.where(
            sa.tuple_(*(sa.type_coerce(one, one.type) for one in place)) < tuple(after)
        )
    return session.execute(query.order_by(*(one.desc() for one in place)).limit(limit)).all()


def place_of(relation: sa.Row[Any]) -> RelationPlace:
    """The place of a relation in its list."""
    return RelationPlace(
        relation.last_seen,
        relation.from_id,
        relation.to_id,
        relation.kind,
        relation.source,
        relation.tenant,
    )


def sources(session: Session) -> Sequence[sa.Row[Any]]:
    """The sources the tenant can see, each with the number of observables it asserts."""
    asserted = sa.and_(
        ASSERTION.c.tenant == SOURCE.c.tenant,
        ASSERTION.c.source_id == SOURCE.c.id,
        ASSERTION.c.retracted_at.is_(None),
    )
    counted = sa.func.count(ASSERTION.c.observable_id).label("observables")
    query = (
        sa.select(SOURCE, counted)
        .outerjoin(ASSERTION, asserted)
        .group_by(SOURCE.c.tenant, SOURCE.c.id)
    )
    return session.execute(query.order_by(SOURCE.c.name)).all()


def run_progress(session: Session, run_id: UUID) -> sa.Row[Any]:
    """Sums over a run's chunks: chunks, received, new, changed, rejected."""
    columns = ("received", "new", "changed", "rejected")
    sums = [sa.func.coalesce(sa.func.sum(RUN_CHUNK.c[name]), 0).label(name) for name in columns]
    # Notes that migration 0010 moved are no chunks.
    query = sa.select(sa.func.count().filter(RUN_CHUNK.c.chunk >= 0).label("chunks"), *sums).where(
        RUN_CHUNK.c.run_id == run_id
    )
    return session.execute(query).one()
