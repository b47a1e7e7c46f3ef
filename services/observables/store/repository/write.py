"""What ingest, reports and enrichment write about observables, under locks of their buckets."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables import NAME
from services.observables.scoring.decay import end_of_day
from services.observables.scoring.inputs import ScoreUpdate
from services.observables.store.incoming import (
    AssertingSource,
    AssertionData,
    IncomingAssertion,
    IngestPlan,
)
from services.observables.store.models import ASSERTION_COLUMNS, OBSERVABLE, RUN_CHUNK, SOURCE
from services.observables.store.search_keys import key_of, prefix_of
from shared.database import PLATFORM, PUBLIC, driver_connection, set_tenant
from shared.errors import InvalidInput, Unavailable
from shared.events import FeedRef
from shared.events.observables import Change
from shared.uuids import UuidArray

_STAGING: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    id uuid, type text, value text COLLATE "C", key text COLLATE "C", prefix smallint,
    score smallint, due_at timestamptz, context json, is_stored boolean, confidence smallint,
    tags text[], malware text, first_seen timestamptz, last_seen timestamptz,
    valid_until timestamptz, attack text[], retracted_at timestamptz
) ON COMMIT DELETE ROWS"""
# Rows are new: the buckets are locked. ON CONFLICT would halve the speed.
_CREATE: Final = """
INSERT INTO observable (tenant, id, type, value, score, first_seen, changed_at, key, context,
    due_at, prefix)
SELECT %(tenant)s, id, type, value, score, first_seen, %(observed_at)s, key, context, due_at, prefix
FROM incoming WHERE score IS NOT NULL"""
_ASSERT: Final = """
INSERT INTO assertion (tenant, observable_id, source_id, confidence, tags, malware, first_seen,
    last_seen, valid_until, attack, retracted_at, observed_at, recorded_at)
SELECT %(tenant)s, id, %(source)s, confidence, tags, malware, first_seen, last_seen, valid_until,
    attack, retracted_at, %(observed_at)s, %(recorded_at)s
FROM incoming WHERE NOT is_stored"""
_WIDEN: Final = """
UPDATE assertion AS stored
SET first_seen = least(stored.first_seen, wider.first_seen), recorded_at = %(recorded_at)s
FROM unnest(%(ids)s, %(moments)s::timestamptz[]) AS wider(id, first_seen)
WHERE stored.tenant = %(tenant)s AND stored.observable_id = wider.id
    AND stored.source_id = %(source)s"""
_COPY_TO_PAST: Final = f"""
INSERT INTO assertion_past ({ASSERTION_COLUMNS}, recorded_until)
SELECT {ASSERTION_COLUMNS}, %(recorded_at)s::timestamptz FROM assertion
WHERE tenant = %(tenant)s AND source_id = %(source)s AND observable_id = ANY(%(ids)s)
ON CONFLICT DO NOTHING"""  # noqa: S608  # constants alone
# If only a retraction is stored, `observed_at` and the times it was seen are the time of that.
_REASSERT: Final = """
UPDATE assertion AS stored SET
    confidence = incoming.confidence, tags = incoming.tags, malware = incoming.malware,
    last_seen = incoming.last_seen,
    first_seen = CASE WHEN stored.retracted_at = stored.observed_at THEN incoming.first_seen
                      ELSE least(stored.first_seen, incoming.first_seen) END,
    valid_until = incoming.valid_until, attack = incoming.attack,
    retracted_at = CASE WHEN incoming.retracted_at IS NULL THEN NULL ELSE stored.retracted_at END,
    observed_at = %(observed_at)s, recorded_at = %(recorded_at)s
FROM incoming
WHERE incoming.is_stored AND stored.tenant = %(tenant)s AND stored.observable_id = incoming.id
    AND stored.source_id = %(source)s"""
_RESCORE: Final = """
UPDATE observable
SET score = fresh.score, due_at = fresh.due_at, changed_at = greatest(changed_at, %(at)s)
FROM unnest(%(ids)s, %(scores)s::smallint[], %(dues)s::timestamptz[]) AS fresh(id, score, due_at)
WHERE observable.tenant = %(tenant)s AND observable.id = fresh.id"""
_RESCORE_ALIKE: Final = """
UPDATE observable
SET score = %(score)s, due_at = %(due)s, changed_at = greatest(changed_at, %(at)s)
WHERE tenant = %(tenant)s AND id = ANY(%(ids)s)"""
_MANY: Final = 50
"""Observables with the same new score for which a statement of their own is cheaper."""
_RETRACT: Final = """
UPDATE assertion SET retracted_at = %(observed_at)s, recorded_at = %(recorded_at)s,
    observed_at = CASE WHEN retracted_at = observed_at THEN %(observed_at)s ELSE observed_at END,
    first_seen = CASE WHEN retracted_at = observed_at THEN %(observed_at)s ELSE first_seen END,
    last_seen = CASE WHEN retracted_at = observed_at THEN %(observed_at)s ELSE last_seen END
WHERE tenant = %(tenant)s AND source_id = %(source)s AND observable_id = ANY(%(ids)s)"""
_HAS_NEWER_RUN: Final = sa.text(
    "SELECT EXISTS (SELECT FROM run_chunk "
    "WHERE tenant = :tenant AND source_id = :id AND observed_at > :observed_at)"
)
_COPY_SOURCE_TO_PAST: Final = sa.text(
    "WITH stored AS (SELECT * FROM source WHERE tenant = :tenant AND id = :id FOR UPDATE) "
    "INSERT INTO source_past (tenant, id, name, reliability, tlp, kind, confirmed_at, recorded_at, "
    "recorded_until, origin, derived_from, measurements) SELECT tenant, id, name, reliability, "
    "tlp, kind, confirmed_at, recorded_at, clock_timestamp(), origin, derived_from, measurements "
    "FROM stored RETURNING recorded_until"
)
# A bucket of observables has one writer at a time: a consumer, a report, or a task.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('sentineliq.observables.bucket'), %s)"
# Thousands of ids are found by their index. The planner has no statistics of a table that is being
# filled: it would read all rows of the tenant for each chunk of a first load, and it looks at every
# single id to find that out. A generic plan does neither.
_PLAN_BY_KEYS: Final = "SET LOCAL plan_cache_mode = force_generic_plan"
_NULL: Final = "\\N"
_SPECIAL: Final = re.compile(r"[\\\t\n\r]")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class NewObservable(NamedTuple):
    """The row of an observable that a person or an enricher names, not a source."""

    tenant: str
    id: str
    type: str
    value: str
    score: int
    due_at: datetime | None
    first_seen: datetime
    changed_at: datetime
    key: str
    context: dict[str, Any]
    prefix: int | None
    depth: int
    tlp: str | None


class RunChunkRow(NamedTuple):
    """The progress of one chunk of a run, and the reports in it that were noted and not written.

    Attributes:
        altered: assertions that it changed, beside those that it retracted.
        statement_chunks: of a chunk that ends a full statement: the number of the bucket's chunks.
    """

    tenant: str
    run_id: UUID
    bucket: int
    chunk: int
    received: int
    new: int
    changed: int
    rejected: int
    source_id: UUID
    observed_at: datetime
    repeated: bytes | None
    altered: int
    statement_chunks: int | None


def lock(session: Session, buckets: Iterable[int]) -> None:
    """Wait until nothing else writes to these buckets, and keep them until the transaction ends.

    The transaction's statements are planned for any parameters from here on (`_PLAN_BY_KEYS`).
    """
    with driver_connection(session).cursor() as cursor:
        cursor.execute(_PLAN_BY_KEYS)
        for bucket in sorted(set(buckets)):
            cursor.execute(_LOCK, (bucket,))


def put_source(
    session: Session, tenant: str, feed: FeedRef, observed_at: datetime
) -> AssertingSource:
    """Store what a run tells about its source; return the source as its newest run describes it.

    It is read before it is written: ON CONFLICT DO UPDATE would lock its row even with nothing to
    change, and the partitions that carry one feed would wait for each other.

    Raises:
        InvalidInput: the feed is known as another tenant's.
    """
    row = {
        "name": feed.name,
        "reliability": feed.reliability,
        "tlp": feed.tlp,
        "kind": feed.kind,
        "origin": feed.origin,
        "derived_from": list(feed.derived_from),
    }
    is_source = sa.and_(SOURCE.c.tenant == tenant, SOURCE.c.id == feed.id)
    stored = session.execute(
        sa.select(
            *(SOURCE.c[name] for name in row), SOURCE.c.confirmed_at, SOURCE.c.measurements
        ).where(is_source)
    ).first()
    source = AssertingSource(
        str(feed.id),
        feed.name,
        feed.reliability,
        observed_at,
        feed.kind,
        stored.confirmed_at if stored else None,
        tenant,
        feed.tlp,
        origin=feed.origin,
        derived_from=feed.derived_from,
        measurements=stored.measurements if stored else "",
    )
    if stored is None:
        _require_owner(session, tenant, feed.id)
        session.execute(
            insert(SOURCE).values(tenant=tenant, id=feed.id, **row).on_conflict_do_nothing()
        )
    elif stored[: len(row)] != tuple(row.values()):
        run = {"tenant": tenant, "id": feed.id, "observed_at": observed_at}
        if session.execute(_HAS_NEWER_RUN, run).scalar_one():
            return source._replace(
                name=stored.name,
                reliability=stored.reliability,
                kind=stored.kind,
                tlp=stored.tlp,
                origin=stored.origin,
                derived_from=tuple(stored.derived_from),
            )
        _change_source(session, tenant, feed.id, row)
    return source


def _require_owner(session: Session, tenant: str, feed: UUID) -> None:
    """Require that no other tenant has a feed of this id; only the platform sees that."""
    set_tenant(session, NAME, PLATFORM)
    others = sa.and_(SOURCE.c.id == feed, SOURCE.c.tenant != tenant)
    is_of_another = session.execute(sa.select(sa.exists().where(others))).scalar_one()
    set_tenant(session, NAME, tenant)
    if is_of_another:
        raise InvalidInput(f"The feed {feed} is another tenant's.", field="feed")


def confirm_source(session: Session, tenant: str, source: UUID, at: datetime) -> None:
    """Record, once a day, that a source confirmed its whole list: its scores depend on it."""
    is_source = sa.and_(SOURCE.c.tenant == tenant, SOURCE.c.id == source)
    stored = session.execute(sa.select(SOURCE.c.confirmed_at).where(is_source)).one_or_none()
    if stored is not None and (
        stored.confirmed_at is None or end_of_day(at) > end_of_day(stored.confirmed_at)
    ):
        _change_source(session, tenant, source, {"confirmed_at": at})


def put_measurements(session: Session, tenant: str, source: UUID, measurements: str) -> None:
    """Store what is measured of a source, as `scoring.measurements` writes it."""
    _change_source(session, tenant, source, {"measurements": measurements})


def _change_source(session: Session, tenant: str, source: UUID, values: dict[str, Any]) -> None:
    """Change a source and keep what it was."""
    now = session.execute(_COPY_SOURCE_TO_PAST, {"tenant": tenant, "id": source}).scalar_one()
    is_source = sa.and_(SOURCE.c.tenant == tenant, SOURCE.c.id == source)
    session.execute(sa.update(SOURCE).where(is_source).values(recorded_at=now, **values))


def write_plan(
    session: Session,
    tenant: str,
    source: AssertingSource,
    plan: IngestPlan,
    contexts: Mapping[str, str],
) -> None:
    """Write a plan in a handful of statements.

    Args:
        session: the transaction; the buckets are locked.
        tenant: the owner of the rows.
        source: the source of the run.
        plan: the plan.
        contexts: the facts of offline enrichers about new observables, as JSON by id.

    Raises:
        Unavailable: another writer stored one of the new rows in the meantime; the next attempt
            sees it.
    """
    with driver_connection(session).cursor() as cursor:
        (recorded_at,) = cursor.execute("SELECT clock_timestamp()").fetchone() or (None,)
        common = {
            "tenant": tenant,
            "source": source.id,
            "observed_at": source.observed_at,
            "recorded_at": recorded_at,
        }
        # New and changed rows travel through one temporary table.
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
        # What changes is copied to the past first.
        widened = [identity for identity, _ in plan.widened]
        past = [*(assertion.id for assertion in plan.reasserted), *plan.retracted, *widened]
        if past:
            cursor.execute(_COPY_TO_PAST, common | {"ids": UuidArray(past)})
        if plan.reasserted:
            cursor.execute(_REASSERT, common)
        if plan.retracted:
            cursor.execute(_RETRACT, common | {"ids": UuidArray(plan.retracted)})
        if widened:
            moments = [first_seen for _, first_seen in plan.widened]
            cursor.execute(_WIDEN, common | {"ids": UuidArray(widened), "moments": moments})
    write_scores(session, tenant, plan.rescored, source.observed_at)


def write_scores(
    session: Session, tenant: str, scored: Sequence[tuple[str, ScoreUpdate]], at: datetime
) -> None:
    """Write scores, and when they are due again."""
    by_update: dict[ScoreUpdate, list[str]] = {}
    for identity, update in scored:
        by_update.setdefault(update, []).append(identity)
    common = {"tenant": tenant, "at": at}
    rest: list[tuple[str, ScoreUpdate]] = []
    with driver_connection(session).cursor() as cursor:
        for update, alike in by_update.items():
            if len(alike) < _MANY:
                rest += [(identity, update) for identity in alike]
                continue
            cursor.execute(_RESCORE_ALIKE, common | update._asdict() | {"ids": UuidArray(alike)})
        if rest:
            ids = UuidArray([identity for identity, _ in rest])
            scores = [update.score for _, update in rest]
            dues = [update.due for _, update in rest]
            cursor.execute(_RESCORE, common | {"ids": ids, "scores": scores, "dues": dues})


# A recursive walk finds the tenants by as many steps of the index as there are tenants.
_OTHER_TENANTS: Final = sa.text(
    "WITH RECURSIVE walk AS ((SELECT tenant FROM observable ORDER BY tenant LIMIT 1) UNION ALL "
    "SELECT (SELECT o.tenant FROM observable o WHERE o.tenant > walk.tenant "
    "ORDER BY o.tenant LIMIT 1) FROM walk WHERE walk.tenant IS NOT NULL) "
    "SELECT tenant FROM walk WHERE tenant <> :public"
)
_MARK_DUE: Final = (
    "UPDATE observable SET due_at = now() WHERE tenant = ANY(%(tenants)s) AND id = ANY(%(ids)s)"
)


def mark_due(session: Session, tenant: str, changes: Iterable[Change]) -> None:
    """Mark the rows of other tenants due when their public part has changed.

    The buckets are locked. The transaction continues as the tenant's.
    """
    if tenant != PUBLIC:
        return
    ids = sorted({change.id[-36:] for change in changes})
    set_tenant(session, NAME, PLATFORM)
    if ids and (tenants := list(session.scalars(_OTHER_TENANTS, {"public": PUBLIC}))):
        with driver_connection(session).cursor() as cursor:
            cursor.execute(_MARK_DUE, {"tenants": tenants, "ids": UuidArray(ids)})
    set_tenant(session, NAME, tenant)


def put_observables(session: Session, rows: Sequence[NewObservable]) -> None:
    """Store observables that no source reports; rows that are stored stay as they are."""
    session.execute(insert(OBSERVABLE).on_conflict_do_nothing(), [row._asdict() for row in rows])


def record_chunks(session: Session, rows: Sequence[RunChunkRow]) -> None:
    """Record that chunks of a run were handled; a repeated chunk is recorded once."""
    session.execute(insert(RUN_CHUNK).on_conflict_do_nothing(), [row._asdict() for row in rows])


def pack_ids(ids: Iterable[str]) -> bytes | None:
    """Ids as they are noted, 16 bytes each; None when there is none."""
    return bytes.fromhex("".join(ids).replace("-", "")) or None


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
    lines = [
        _line(assertion, scored, contexts.get(assertion.id), observed)
        for assertion, scored in plan.created
    ]
    for is_stored, assertions in (("f", plan.asserted), ("t", plan.reasserted)):
        lines += [
            f"{assertion.id}{_NOT_NEW}\t{is_stored}{_tail(assertion.data, observed)}"
            for assertion in assertions
        ]
    lines.sort()  # by id, in the order of the index: neighbours share its pages
    with cursor.copy("COPY incoming FROM STDIN") as copy:
        copy.write("".join(lines))


_NOT_NEW: Final = f"\t{_NULL}" * 7


def _line(
    assertion: IncomingAssertion, scored: ScoreUpdate, context: str | None, observed: str
) -> str:
    """The line of a new observable in COPY's text format."""
    type_ = assertion.type
    value = assertion.value
    key = key_of(type_, value)
    prefix = prefix_of(type_, value)
    if _SPECIAL.search(value):  # a key has no other characters than its value
        value = _escaped(value)
        key = _escaped(key)
    # JSON escapes all other special characters itself.
    context = context.replace("\\", "\\\\") if context else "{}"
    return (
        f"{assertion.id}\t{type_}\t{value}\t{key}\t{_NULL if prefix is None else prefix}\t"
        f"{scored.score}\t{_time(scored.due)}\t{context}\tf{_tail(assertion.data, observed)}"
    )


def _text(text: str) -> str:
    """A text in COPY's text format."""
    return _escaped(text) if _SPECIAL.search(text) else text


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


@lru_cache(maxsize=4096)
def _time(moment: datetime | None) -> str:
    return _NULL if moment is None else moment.isoformat()


@lru_cache(maxsize=4096)
def _tail(data: AssertionData, observed: str) -> str:
    """The columns that many rows share."""
    malware = _NULL if data.malware is None else _text(data.malware)
    return (
        f"\t{data.confidence}\t{_texts(data.tags)}\t{malware}\t{_time(data.first_seen)}\t"
        f"{_time(data.last_seen) if data.last_seen else observed}\t{_time(data.valid_until)}\t"
        f"{_texts(data.attack)}\t{observed if data.retracted else _NULL}\n"
    )


def _texts(texts: Iterable[str]) -> str:
    """An array of texts in COPY's text format."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return _text("{" + ",".join(f'"{text}"' for text in quoted) + "}")
