"""The observables service's SQL: bulk writes by COPY, reads by id."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.ingest import Known, Plan, Stored, Word
from services.observables.models import ASSERTION, OBSERVABLE, RUN_CHUNK, SOURCE
from shared.database import PUBLIC
from shared.errors import Unavailable
from shared.events import FeedRef

_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    id uuid, type text, value text COLLATE "C", score smallint, known boolean,
    confidence smallint, tags text[], malware text, first_seen timestamptz, valid_until timestamptz
) ON COMMIT DELETE ROWS"""
# Rows that are known to be new are inserted without ON CONFLICT, which would halve the speed.
_CREATE = """
INSERT INTO observable (tenant, id, type, value, score, first_seen, changed_at)
SELECT %(tenant)s, id, type, value, score, first_seen, %(observed_at)s FROM incoming WHERE score IS NOT NULL"""
_ASSERT = """
INSERT INTO assertion (tenant, observable_id, source_id, confidence, tags, malware, first_seen, last_seen, valid_until)
SELECT %(tenant)s, id, %(source)s, confidence, tags, malware, first_seen, %(observed_at)s, valid_until
FROM incoming WHERE NOT known"""
_REASSERT = """
UPDATE assertion AS mine SET
    confidence = said.confidence, tags = said.tags, malware = said.malware,
    first_seen = least(mine.first_seen, said.first_seen), last_seen = %(observed_at)s,
    valid_until = said.valid_until, retracted_at = NULL
FROM incoming AS said
WHERE said.known AND mine.tenant = %(tenant)s AND mine.observable_id = said.id AND mine.source_id = %(source)s"""
_RESCORE = """
UPDATE observable SET score = fresh.score, changed_at = %(observed_at)s
FROM unnest(%(ids)s::uuid[], %(scores)s::smallint[]) AS fresh(id, score)
WHERE observable.tenant = %(tenant)s AND observable.id = fresh.id"""
_RETRACT = """
UPDATE assertion SET retracted_at = %(observed_at)s
WHERE tenant = %(tenant)s AND source_id = %(source)s AND observable_id = ANY(%(ids)s::uuid[])"""
_KNOWN = """
SELECT id::text, type, value, score FROM observable WHERE tenant = %(tenant)s AND id = ANY(%(ids)s::uuid[])"""
_ASSERTIONS = """
SELECT observable_id::text, source_id::text, name, reliability, confidence, tags, malware, valid_until, last_seen,
       retracted_at IS NOT NULL
FROM assertion JOIN source ON source.tenant = assertion.tenant AND source.id = assertion.source_id
WHERE assertion.tenant = %(tenant)s AND observable_id = ANY(%(ids)s::uuid[])"""
_MERGED = sa.text(
    "SELECT o.id::text, o.tenant, o.type, o.value, s.name AS source, s.id::text AS source_id, "
    "s.reliability, s.tlp, a.confidence, a.tags, a.malware, a.first_seen AS asserted_first, a.last_seen, "
    "a.valid_until, a.retracted_at FROM observable o "
    "JOIN assertion a ON a.tenant = o.tenant AND a.observable_id = o.id "
    "JOIN source s ON s.tenant = a.tenant AND s.id = a.source_id "
    "WHERE o.tenant IN (:tenant, :public) AND o.id = ANY(CAST(:ids AS uuid[]))"
)
_NULL = "\\N"
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _cursor(session: Session) -> psycopg.Cursor[Any]:
    connection: Any = session.connection().connection.driver_connection
    cursor: psycopg.Cursor[Any] = connection.cursor()
    return cursor


def put_source(session: Session, tenant: str, feed: FeedRef) -> None:
    """Remember a source.

    It is read before it is written: ON CONFLICT DO UPDATE would lock its row even with nothing to change, and the
    partitions that carry one feed would wait for each other.
    """
    row = {"name": feed.name, "reliability": feed.reliability, "tlp": feed.tlp}
    mine = sa.and_(SOURCE.c.tenant == tenant, SOURCE.c.id == feed.id)
    if session.execute(sa.select(*(SOURCE.c[name] for name in row)).where(mine)).one_or_none() == tuple(row.values()):
        return
    statement = insert(SOURCE).values(tenant=tenant, id=feed.id, **row)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant", "id"], set_=row))


def known(session: Session, tenant: str, ids: Sequence[str]) -> dict[str, Known]:
    """What is stored about observables of one tenant, by id."""
    arguments = {"tenant": tenant, "ids": _array(ids)}
    with _cursor(session) as cursor:
        cursor.execute(_KNOWN, arguments)
        found = {row[0]: Known(row[1], row[2], row[3], {}) for row in cursor}
        if found:
            cursor.execute(_ASSERTIONS, arguments)
            for identity, source, name, reliability, confidence, tags, *rest in cursor:
                found[identity].assertions[source] = Stored(source, name, reliability, confidence, tuple(tags), *rest)
    return found


def write(session: Session, tenant: str, source: str, observed_at: datetime, plan: Plan) -> None:
    """Write a plan: a handful of statements, whatever its size.

    Raises:
        Unavailable: somebody else stored one of the new rows since they were looked for; the next try sees it.
    """
    common = {"tenant": tenant, "source": source, "observed_at": observed_at}
    with _cursor(session) as cursor:
        if plan.created or plan.asserted or plan.reasserted:
            _stage(cursor, plan)
        try:
            if plan.created:
                cursor.execute(_CREATE, common)
            if plan.created or plan.asserted:
                cursor.execute(_ASSERT, common)
        except psycopg.errors.UniqueViolation as error:
            raise Unavailable("Another writer stored the same observable at the same time.") from error
        if plan.reasserted:
            cursor.execute(_REASSERT, common)
        if plan.rescored:
            ids, scores = zip(*plan.rescored, strict=True)
            cursor.execute(_RESCORE, common | {"ids": _array(ids), "scores": list(scores)})
        if plan.retracted:
            cursor.execute(_RETRACT, common | {"ids": _array(plan.retracted)})


def _stage(cursor: psycopg.Cursor[Any], plan: Plan) -> None:
    cursor.execute(_STAGING)
    # Another plan of the same transaction may have left its rows.
    cursor.execute("TRUNCATE incoming")
    lines = [f"{one.id}\t{one.type}\t{_text(one.value)}\t{score}\tf{_tail(one.word)}" for one, score in plan.created]
    for known, assertions in (("f", plan.asserted), ("t", plan.reasserted)):
        lines += [f"{one.id}\t{one.type}\t{_text(one.value)}\t{_NULL}\t{known}{_tail(one.word)}" for one in assertions]
    lines.sort()  # by id, in the order of the index: neighbours share its pages
    with cursor.copy("COPY incoming FROM STDIN") as copy:
        copy.write("".join(lines))


def _text(text: str) -> str:
    """A text as COPY's text format wants it."""
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text


@lru_cache(maxsize=4096)
def _tail(word: Word) -> str:
    """The columns that many rows share."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in word.tags)
    tags = "{" + ",".join(f'"{text}"' for text in quoted) + "}"
    malware = _NULL if word.malware is None else _text(word.malware)
    return f"\t{word.confidence}\t{_text(tags)}\t{malware}\t{word.first_seen}\t{word.valid_until or _NULL}\n"


def _array(ids: Iterable[str]) -> str:
    return "{" + ",".join(ids) + "}"


def record_chunks(session: Session, rows: list[dict[str, Any]]) -> None:
    """Note that chunks of a run were handled; a repeated chunk is noted once."""
    session.execute(insert(RUN_CHUNK).on_conflict_do_nothing(), rows)


def run_progress(session: Session, run_id: UUID) -> sa.Row[Any]:
    """Sums over a run's chunks: chunks, received, new, changed, rejected."""
    columns = ("received", "new", "changed", "rejected")
    sums = [sa.func.coalesce(sa.func.sum(RUN_CHUNK.c[name]), 0).label(name) for name in columns]
    query = sa.select(sa.func.count().label("chunks"), *sums).where(RUN_CHUNK.c.run_id == run_id)
    return session.execute(query).one()


def prune_runs(session: Session, days: int) -> int:
    """Delete the progress of runs older than `days`; how many chunks were forgotten."""
    old = RUN_CHUNK.c.handled_at < sa.func.now() - timedelta(days=days)
    return len(session.execute(sa.delete(RUN_CHUNK).where(old).returning(RUN_CHUNK.c.chunk)).all())


def assertions(session: Session, tenant: str, ids: Iterable[str]) -> Sequence[sa.Row[Any]]:
    """Every assertion about these observables that the tenant may see: its own and the public ones."""
    return session.execute(_MERGED, {"tenant": tenant, "public": PUBLIC, "ids": _array(ids)}).all()


def page(
    session: Session, *, source: UUID | None, type_: str | None, min_score: int | None, after: UUID | None, limit: int
) -> Sequence[str]:
    """Ids of observables in the order of their ids, each once, beginning after `after`."""
    query = sa.select(OBSERVABLE.c.id).distinct().order_by(OBSERVABLE.c.id).limit(limit)
    query = _filtered(query, source, type_, min_score)
    if after is not None:
        query = query.where(OBSERVABLE.c.id > after)
    return [str(identity) for identity in session.scalars(query)]


def count(session: Session, *, source: UUID | None, type_: str | None, min_score: int | None) -> int:
    """How many distinct observables match."""
    query = _filtered(sa.select(OBSERVABLE.c.id).distinct(), source, type_, min_score)
    return session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def _filtered(query: sa.Select[Any], source: UUID | None, type_: str | None, min_score: int | None) -> sa.Select[Any]:
    if source is not None:
        mine = sa.and_(ASSERTION.c.tenant == OBSERVABLE.c.tenant, ASSERTION.c.observable_id == OBSERVABLE.c.id)
        query = query.join(ASSERTION, mine).where(ASSERTION.c.source_id == source, ASSERTION.c.retracted_at.is_(None))
    if type_ is not None:
        query = query.where(OBSERVABLE.c.type == type_)
    if min_score is not None:
        query = query.where(OBSERVABLE.c.score >= min_score)
    return query


def sources(session: Session) -> Sequence[sa.Row[Any]]:
    """The sources the tenant can see, each with the number of observables it asserts."""
    asserted = sa.and_(
        ASSERTION.c.tenant == SOURCE.c.tenant, ASSERTION.c.source_id == SOURCE.c.id, ASSERTION.c.retracted_at.is_(None)
    )
    counted = sa.func.count(ASSERTION.c.observable_id).label("observables")
    query = sa.select(SOURCE, counted).outerjoin(ASSERTION, asserted).group_by(SOURCE.c.tenant, SOURCE.c.id)
    return session.execute(query.order_by(SOURCE.c.name)).all()
