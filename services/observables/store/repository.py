"""The observables service's SQL: bulk writes by COPY, reads by id."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.reference import context
from services.observables.scoring.decay import end_of_day
from services.observables.scoring.inputs import (
    EnrichmentWeight,
    ObservableState,
    SightingRow,
    StoredAssertion,
    claims_from_enrichments,
    claims_from_sightings,
)
from services.observables.store.models import RUN_CHUNK, SOURCE
from services.observables.store.plan import (
    AssertingSource,
    AssertionData,
    IncomingAssertion,
    IngestPlan,
    ScoreUpdate,
)
from services.observables.store.search_keys import key_of, prefix_of
from shared.database import PLATFORM, PUBLIC, driver_connection, set_tenant
from shared.errors import Unavailable
from shared.events import FeedRef
from shared.events.observables import Change
from shared.uuids import UuidArray

_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    id uuid, type text, value text COLLATE "C", key text COLLATE "C", prefix smallint, score smallint,
    due_at timestamptz, context json, known boolean, confidence smallint, tags text[], malware text,
    first_seen timestamptz, last_seen timestamptz, valid_until timestamptz, attack text[], retracted_at timestamptz
) ON COMMIT DELETE ROWS"""
# Rows that are known to be new are inserted without ON CONFLICT, which would halve the speed.
_CREATE = """
INSERT INTO observable (tenant, id, type, value, score, first_seen, changed_at, key, context, due_at, prefix)
SELECT %(tenant)s, id, type, value, score, first_seen, %(observed_at)s, key, context, due_at, prefix
FROM incoming WHERE score IS NOT NULL"""
_ASSERT = """
INSERT INTO assertion (tenant, observable_id, source_id, confidence, tags, malware, first_seen, last_seen, valid_until,
    attack, retracted_at, observed_at, recorded_at)
SELECT %(tenant)s, id, %(source)s, confidence, tags, malware, first_seen, last_seen, valid_until, attack, retracted_at,
    %(observed_at)s, %(recorded_at)s
FROM incoming WHERE NOT known"""
_WIDEN = """
UPDATE assertion AS mine SET first_seen = least(mine.first_seen, said.first_seen), recorded_at = %(recorded_at)s
FROM unnest(%(ids)s, %(moments)s::timestamptz[]) AS said(id, first_seen)
WHERE mine.tenant = %(tenant)s AND mine.observable_id = said.id AND mine.source_id = %(source)s"""
_KEEP = """
INSERT INTO assertion_past SELECT mine.*, %(recorded_at)s::timestamptz FROM assertion AS mine
WHERE mine.tenant = %(tenant)s AND mine.source_id = %(source)s AND mine.observable_id = ANY(%(ids)s)
ON CONFLICT DO NOTHING"""
# Of what was only ever taken back, `observed_at` is the moment of that, and so are the times it was seen.
_REASSERT = """
UPDATE assertion AS mine SET
    confidence = said.confidence, tags = said.tags, malware = said.malware, last_seen = said.last_seen,
    first_seen = CASE WHEN mine.retracted_at = mine.observed_at THEN said.first_seen
                      ELSE least(mine.first_seen, said.first_seen) END,
    valid_until = said.valid_until, attack = said.attack,
    retracted_at = CASE WHEN said.retracted_at IS NULL THEN NULL ELSE mine.retracted_at END,
    observed_at = %(observed_at)s, recorded_at = %(recorded_at)s
FROM incoming AS said
WHERE said.known AND mine.tenant = %(tenant)s AND mine.observable_id = said.id AND mine.source_id = %(source)s"""
_RESCORE = """
UPDATE observable SET score = fresh.score, due_at = fresh.due_at, changed_at = greatest(changed_at, %(at)s)
FROM unnest(%(ids)s, %(scores)s::smallint[], %(dues)s::timestamptz[]) AS fresh(id, score, due_at)
WHERE observable.tenant = %(tenant)s AND observable.id = fresh.id"""
_RETRACT = """
UPDATE assertion SET retracted_at = %(observed_at)s, recorded_at = %(recorded_at)s,
    observed_at = CASE WHEN retracted_at = observed_at THEN %(observed_at)s ELSE observed_at END,
    first_seen = CASE WHEN retracted_at = observed_at THEN %(observed_at)s ELSE first_seen END,
    last_seen = CASE WHEN retracted_at = observed_at THEN %(observed_at)s ELSE last_seen END
WHERE tenant = %(tenant)s AND source_id = %(source)s AND observable_id = ANY(%(ids)s)"""
_KNOWN = """
SELECT id::text, type, value, score, context::text, changed_at, due_at, tenant = %(tenant)s FROM observable
WHERE tenant = ANY(%(tenants)s) AND id = ANY(%(ids)s)"""
_ASSERTIONS = """
SELECT observable_id::text, source_id::text, name, reliability, confidence, tags, malware, valid_until, last_seen,
       retracted_at IS NOT NULL, greatest(observed_at, retracted_at), kind, confirmed_at, attack,
       CASE WHEN retracted_at = observed_at THEN NULL ELSE observed_at END, first_seen, assertion.tenant = %(tenant)s
FROM assertion JOIN source ON source.tenant = assertion.tenant AND source.id = assertion.source_id
WHERE assertion.tenant = ANY(%(tenants)s) AND observable_id = ANY(%(ids)s)"""
_REPEATS = """
SELECT source_id::text, observed_at, repeated FROM run_chunk
WHERE tenant = %(tenant)s AND bucket = ANY(%(buckets)s) AND repeated IS NOT NULL AND observed_at >= %(observed_at)s
    AND run_id <> %(run)s"""
_SPOKE_SINCE = """
SELECT EXISTS (SELECT FROM run_chunk WHERE tenant = :tenant AND source_id = :id AND observed_at > :observed_at)"""
_SIGHTINGS = """
SELECT observable_id::text, kind, count, place, last_seen FROM sighting
WHERE tenant = ANY(%(tenants)s) AND observable_id = ANY(%(ids)s) AND withdrawn_at IS NULL"""
# Of a tenant's own answer and a shared one the newer counts, not both.
_ANSWERS = """
SELECT DISTINCT ON (observable_id, enricher) observable_id::text, enricher, weights, obtained_at, counts_until
FROM enrichment WHERE tenant IN (%(tenant)s, 'public') AND observable_id = ANY(%(ids)s)
ORDER BY observable_id, enricher, obtained_at DESC"""
# One writer at a time works on a bucket of observables, whoever it is: a consumer, a report, time.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('sentineliq.observables.bucket'), %s)"
# Thousands of ids are found by their index. The planner has no statistics of tables that are just being filled, would
# scan all rows of the tenant for each chunk of a first load, and looks at every single id to find that out.
_BY_KEYS = "SET LOCAL plan_cache_mode = force_generic_plan"
_NULL = "\\N"
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def lock(session: Session, buckets: Iterable[int]) -> None:
    """Wait until nobody else writes to these buckets, and keep them until the transaction ends.

    What the transaction does from here on is planned for any parameters (`_BY_KEYS`).
    """
    with driver_connection(session).cursor() as cursor:
        cursor.execute(_BY_KEYS)
        for bucket in sorted(set(buckets)):
            cursor.execute(_LOCK, (bucket,))


def put_source(
    session: Session, tenant: str, feed: FeedRef, observed_at: datetime
) -> AssertingSource:
    """Remember what a run tells about its source; the source as the newest of its runs describes it.

    It is read before it is written: ON CONFLICT DO UPDATE would lock its row even with nothing to change, and the
    partitions that carry one feed would wait for each other.
    """
    row = {"name": feed.name, "reliability": feed.reliability, "tlp": feed.tlp, "kind": feed.kind}
    mine = sa.and_(SOURCE.c.tenant == tenant, SOURCE.c.id == feed.id)
    known = session.execute(
        sa.select(*(SOURCE.c[name] for name in row), SOURCE.c.confirmed_at).where(mine)
    ).first()
    confirmed_at = known.confirmed_at if known else None
    if known is None:
        session.execute(
            insert(SOURCE).values(tenant=tenant, id=feed.id, **row).on_conflict_do_nothing()
        )
    elif known[:-1] != tuple(row.values()):
        asked = {"tenant": tenant, "id": feed.id, "observed_at": observed_at}
        if session.execute(sa.text(_SPOKE_SINCE), asked).scalar_one():
            return AssertingSource(
                str(feed.id), known.name, known.reliability, observed_at, known.kind, confirmed_at
            )
        _change_source(session, tenant, feed.id, row)
    return AssertingSource(
        str(feed.id), feed.name, feed.reliability, observed_at, feed.kind, confirmed_at
    )


def confirm_source(session: Session, tenant: str, source: UUID, at: datetime) -> None:
    """A source confirmed its whole list; noted once for each day, since every score it holds depends on it."""
    mine = sa.and_(SOURCE.c.tenant == tenant, SOURCE.c.id == source)
    known = session.execute(sa.select(SOURCE.c.confirmed_at).where(mine)).one_or_none()
    if known is not None and (
        known.confirmed_at is None or end_of_day(at) > end_of_day(known.confirmed_at)
    ):
        _change_source(session, tenant, source, {"confirmed_at": at})


def _change_source(session: Session, tenant: str, source: UUID, values: dict[str, Any]) -> None:
    """Change a source and keep what it was."""
    keep = sa.text(
        "WITH mine AS (SELECT * FROM source WHERE tenant = :tenant AND id = :id FOR UPDATE) "
        "INSERT INTO source_past (tenant, id, name, reliability, tlp, kind, confirmed_at, recorded_at, recorded_until) "
        "SELECT tenant, id, name, reliability, tlp, kind, confirmed_at, recorded_at, clock_timestamp() FROM mine "
        "RETURNING recorded_until"
    )
    now = session.execute(keep, {"tenant": tenant, "id": source}).scalar_one()
    mine = sa.and_(SOURCE.c.tenant == tenant, SOURCE.c.id == source)
    session.execute(sa.update(SOURCE).where(mine).values(recorded_at=now, **values))


def known(session: Session, tenant: str, ids: Sequence[str]) -> dict[str, ObservableState]:
    """What is stored about observables, by id: of the tenant, and what is public, as readers see it together."""
    tenants = [tenant] if tenant == PUBLIC else [tenant, PUBLIC]
    arguments = {"tenant": tenant, "tenants": tenants, "ids": UuidArray(ids)}
    with driver_connection(session).cursor() as cursor:
        cursor.execute(_KNOWN, arguments)
        found, shared = _rows(cursor)
        if not shared:
            arguments["tenants"] = [tenant]
        if not found:
            return found
        cursor.execute(_ASSERTIONS, arguments)
        public: dict[str, list[StoredAssertion]] = {}
        for identity, *columns, own in cursor:
            one = stored(columns)
            if own:
                found[identity].assertions[one.source_id] = one
            else:
                public.setdefault(identity, []).append(one)
        reports = _grouped(cursor.execute(_SIGHTINGS, arguments), SightingRow)
        answers = _grouped(cursor.execute(_ANSWERS, arguments), EnrichmentWeight)
    for identity in found.keys() & (public.keys() | reports.keys() | answers.keys()):
        seen, against = claims_from_sightings(reports.get(identity, ()))
        told, facts = claims_from_enrichments(answers.get(identity, ()))
        before = found[identity]
        found[identity] = before._replace(
            claims=(*seen, *told),
            effects=(*before.effects, *against, *facts),
            public=tuple(public.get(identity, ())),
        )
    return found


def _rows(cursor: psycopg.Cursor[Any]) -> tuple[dict[str, ObservableState], bool]:
    """Observables, the tenant's own row before a public one; and whether any is public as well."""
    found: dict[str, ObservableState] = {}
    shared = False
    for identity, type_, value, score, described, looked_at, due, own in cursor:
        shared = shared or not own
        if own or identity not in found:
            effects = context.effects(described)
            found[identity] = ObservableState(
                type_, value, score, {}, (), effects, looked_at, due, own=own
            )
    return found, shared


_T = TypeVar("_T")


def _grouped(cursor: psycopg.Cursor[Any], kind: Callable[..., _T]) -> dict[str, list[_T]]:
    """Rows by the id they begin with."""
    grouped: dict[str, list[_T]] = {}
    for identity, *columns in cursor:
        grouped.setdefault(identity, []).append(kind(*columns))
    return grouped


def repeats(
    session: Session, tenant: str, buckets: Iterable[int], observed_at: datetime, run: UUID
) -> list[tuple[str, datetime, bytes]]:
    """Words of other runs, of this moment or newer ones, that were noted and not written (`ingest.with_repeats`).

    In the order in which feeds speak there are none; what is read here is for those that come late.
    """
    asked = {"tenant": tenant, "buckets": list(buckets), "observed_at": observed_at, "run": run}
    with driver_connection(session).cursor() as cursor:
        return cursor.execute(_REPEATS, asked).fetchall()


def write(
    session: Session,
    tenant: str,
    source: AssertingSource,
    plan: IngestPlan,
    contexts: Mapping[str, str],
) -> None:
    """Write a plan, with what enrichers found about new observables, as JSON by id: a handful of statements.

    Raises:
        Unavailable: somebody else stored one of the new rows since they were looked for; the next try sees it.
    """
    with driver_connection(session).cursor() as cursor:
        (recorded,) = cursor.execute("SELECT clock_timestamp()").fetchone() or (None,)
        common = {
            "tenant": tenant,
            "source": source.id,
            "observed_at": source.observed_at,
            "recorded_at": recorded,
        }
        if plan.created or plan.asserted or plan.reasserted:
            _stage(cursor, source, plan, contexts)
        try:
            if plan.created:
                cursor.execute(_CREATE, common)
            if plan.created or plan.asserted:
                cursor.execute(_ASSERT, common)
        except psycopg.errors.UniqueViolation as error:
            raise Unavailable(
                "Another writer stored the same observable at the same time."
            ) from error
        widened, moments = zip(*plan.widened, strict=True) if plan.widened else ((), ())
        past = [*(one.id for one in plan.reasserted), *plan.retracted, *widened]
        if past:
            cursor.execute(_KEEP, common | {"ids": UuidArray(past)})
        if plan.reasserted:
            cursor.execute(_REASSERT, common)
        if plan.retracted:
            cursor.execute(_RETRACT, common | {"ids": UuidArray(plan.retracted)})
        if widened:
            cursor.execute(_WIDEN, common | {"ids": UuidArray(widened), "moments": list(moments)})
    write_scores(session, tenant, plan.rescored, source.observed_at)


def write_scores(
    session: Session, tenant: str, scored: Sequence[tuple[str, ScoreUpdate]], at: datetime
) -> None:
    """Write scores and when they are due again."""
    if scored:
        ids, fresh = zip(*scored, strict=True)
        values = {"tenant": tenant, "at": at, "ids": UuidArray(ids)}
        values |= {"scores": [one.score for one in fresh], "dues": [one.due for one in fresh]}
        with driver_connection(session).cursor() as cursor:
            cursor.execute(_RESCORE, values)


_OTHERS: Final = sa.text(
    "WITH RECURSIVE walk AS ((SELECT tenant FROM observable ORDER BY tenant LIMIT 1) UNION ALL "
    "SELECT (SELECT o.tenant FROM observable o WHERE o.tenant > walk.tenant ORDER BY o.tenant LIMIT 1) "
    "FROM walk WHERE walk.tenant IS NOT NULL) SELECT tenant FROM walk WHERE tenant <> :public"
)
_MARK_DUE = (
    "UPDATE observable SET due_at = %(at)s WHERE tenant = ANY(%(tenants)s) AND id = ANY(%(ids)s)"
)


def mark_due(session: Session, tenant: str, changes: Iterable[Change], at: datetime) -> None:
    """What is public has changed: tenants that have rows of it are to look at their scores again; nothing for others.

    The buckets are locked. The transaction goes on as the tenant's.
    """
    if tenant != PUBLIC:
        return
    ids = sorted({change.id[-36:] for change in changes})
    set_tenant(session, SERVICE, PLATFORM)
    if ids and (tenants := list(session.scalars(_OTHERS, {"public": PUBLIC}))):
        with driver_connection(session).cursor() as cursor:
            cursor.execute(_MARK_DUE, {"tenants": tenants, "ids": UuidArray(ids), "at": at})
    set_tenant(session, SERVICE, tenant)


def due(session: Session, limit: int) -> dict[str, list[str]]:
    """Observables whose score has to be looked at now, by tenant; the oldest first, at most `limit`."""
    query = sa.text(
        "SELECT tenant, id::text FROM observable WHERE due_at <= now() ORDER BY due_at LIMIT :limit"
    )
    found: dict[str, list[str]] = {}
    for tenant, identity in session.execute(query, {"limit": limit}):
        found.setdefault(tenant, []).append(identity)
    return found


def stored(columns: Sequence[Any]) -> StoredAssertion:
    """An assertion from its columns, in the order of `StoredAssertion`."""
    one = StoredAssertion(*columns)
    return one._replace(tags=tuple(one.tags), attack=tuple(one.attack))


def _stage(
    cursor: psycopg.Cursor[Any],
    source: AssertingSource,
    plan: IngestPlan,
    contexts: Mapping[str, str],
) -> None:
    cursor.execute(_STAGING)
    # Another plan of the same transaction may have left its rows.
    cursor.execute("TRUNCATE incoming")
    observed = source.observed_at.isoformat()
    lines = [_created(one, scored, contexts.get(one.id), observed) for one, scored in plan.created]
    for known, assertions in (("f", plan.asserted), ("t", plan.reasserted)):
        lines += [f"{one.id}{_NOT_NEW}\t{known}{_tail(one.word, observed)}" for one in assertions]
    lines.sort()  # by id, in the order of the index: neighbours share its pages
    with cursor.copy("COPY incoming FROM STDIN") as copy:
        copy.write("".join(lines))


_NOT_NEW = f"\t{_NULL}" * 7


def _created(
    one: IncomingAssertion, scored: ScoreUpdate, context: str | None, observed: str
) -> str:
    type_, value = one.type, one.value
    key, prefix = key_of(type_, value), prefix_of(type_, value)
    if _SPECIAL.search(value):  # a key has no other characters than its value
        value, key = _escaped(value), _escaped(key)
    context = (
        context.replace("\\", "\\\\") if context else "{}"
    )  # JSON has the other ones escaped already
    return (
        f"{one.id}\t{type_}\t{value}\t{key}\t{_NULL if prefix is None else prefix}\t{scored.score}\t"
        f"{_moment(scored.due)}\t{context}\tf{_tail(one.word, observed)}"
    )


def _text(text: str) -> str:
    """A text as COPY's text format wants it."""
    return _escaped(text) if _SPECIAL.search(text) else text


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


@lru_cache(maxsize=4096)
def _moment(moment: datetime | None) -> str:
    return _NULL if moment is None else moment.isoformat()


@lru_cache(maxsize=4096)
def _tail(word: AssertionData, observed: str) -> str:
    """The columns that many rows share."""
    malware = _NULL if word.malware is None else _text(word.malware)
    return (
        f"\t{word.confidence}\t{_texts(word.tags)}\t{malware}\t{word.first_seen}\t{word.last_seen or observed}\t"
        f"{word.valid_until or _NULL}\t{_texts(word.attack)}\t{observed if word.retracted else _NULL}\n"
    )


def _texts(texts: Iterable[str]) -> str:
    """An array of texts as COPY wants it."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return _text("{" + ",".join(f'"{text}"' for text in quoted) + "}")


def record_chunks(session: Session, rows: list[dict[str, Any]]) -> None:
    """Note that chunks of a run were handled; a repeated chunk is noted once."""
    session.execute(insert(RUN_CHUNK).on_conflict_do_nothing(), rows)


def prune_runs(session: Session, days: int) -> int:
    """Delete the progress of runs older than `days`; how many chunks were forgotten."""
    old = RUN_CHUNK.c.handled_at < sa.func.now() - timedelta(days=days)
    return len(session.execute(sa.delete(RUN_CHUNK).where(old).returning(RUN_CHUNK.c.chunk)).all())
