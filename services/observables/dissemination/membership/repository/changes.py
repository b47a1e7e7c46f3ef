"""The SQL of membership: entries, changes and numbers, always in bulk."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.dissemination.lists.models import CAPACITY, LIST, ListRow
from services.observables.dissemination.membership.plan import EntryStep, PresentEntry
from shared.database import PUBLIC
from shared.stix.markings import MARKINGS

_COLUMNS: Final = tuple(LIST.c[name] for name in ListRow._fields)

_PRESENT: Final = sa.text("""
SELECT list_id, observable_id, type, value, score, refused_by, leaves_at IS NOT NULL AND is_dated
FROM list_entry WHERE list_id = ANY(:lists) AND observable_id = ANY(:ids)
""")
_OWN: Final = sa.text("""
SELECT tenant, id FROM observable WHERE tenant = ANY(:tenants) AND id = ANY(:ids)
""")
_FACTS: Final = sa.text("""
SELECT tenant, id, coalesce(tlp, ''), context::text ~ :harmless FROM observable
WHERE tenant = ANY(:tenants) AND id = ANY(:ids)
    AND (coalesce(tlp, '') <> '' OR context::text ~ :harmless)
""")
_PUT: Final = sa.text("""
INSERT INTO list_entry AS entry (tenant, list_id, observable_id, type, value, score, refused_by,
    number, joined_at)
SELECT tenant, list_id, observable_id, type, value, score, refused_by, number, :moment
FROM unnest(CAST(:tenants AS text[]), CAST(:lists AS uuid[]), CAST(:ids AS uuid[]),
    CAST(:types AS text[]), CAST(:texts AS text[]), CAST(:scores AS smallint[]),
    CAST(:refusals AS text[]), CAST(:numbers AS bigint[]))
    AS fresh (tenant, list_id, observable_id, type, value, score, refused_by, number)
ON CONFLICT (list_id, observable_id) DO UPDATE SET score = excluded.score,
    refused_by = excluded.refused_by, number = excluded.number, joined_at = excluded.joined_at,
    leaves_at = NULL, is_dated = false
""")
_DELETE: Final = sa.text("""
DELETE FROM list_entry USING unnest(CAST(:lists AS uuid[]), CAST(:ids AS uuid[]))
    AS stale (list_id, observable_id)
WHERE list_entry.list_id = stale.list_id AND list_entry.observable_id = stale.observable_id
""")
_RESCORE: Final = sa.text("""
UPDATE list_entry SET score = fresh.score, leaves_at = NULL, is_dated = false
FROM unnest(CAST(:lists AS uuid[]), CAST(:ids AS uuid[]), CAST(:scores AS smallint[]))
    AS fresh (list_id, observable_id, score)
WHERE list_entry.list_id = fresh.list_id AND list_entry.observable_id = fresh.observable_id
""")
# What an event has granted a grace, or refused, since the sweep chose its rows stays as it is.
_DATE: Final = sa.text("""
UPDATE list_entry SET is_dated = true, leaves_at = dated.leaves_at
FROM unnest(CAST(:lists AS uuid[]), CAST(:ids AS uuid[]), CAST(:moments AS timestamptz[]))
    AS dated (list_id, observable_id, leaves_at)
WHERE list_entry.list_id = dated.list_id AND list_entry.observable_id = dated.observable_id
    AND (list_entry.leaves_at <= now()
        OR (NOT list_entry.is_dated AND list_entry.refused_by IS NULL))
""")
# A second event that does not match prolongs no grace.
_GRACE: Final = sa.text("""
UPDATE list_entry SET is_dated = true,
    leaves_at = least(list_entry.leaves_at, :moment + list.grace_seconds * interval '1 second')
FROM unnest(CAST(:lists AS uuid[]), CAST(:ids AS uuid[])) AS late (list_id, observable_id)
JOIN dissemination_list list ON list.id = late.list_id
WHERE list_entry.list_id = late.list_id AND list_entry.observable_id = late.observable_id
""")
_CHANGE: Final = sa.text("""
INSERT INTO list_change (tenant, list_id, number, changed_at, observable_id, type, value, kind,
    score, reason)
SELECT tenant, list_id, number, :moment, observable_id, type, value, kind, score, reason
FROM unnest(CAST(:tenants AS text[]), CAST(:lists AS uuid[]), CAST(:numbers AS bigint[]),
    CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:texts AS text[]), CAST(:kinds AS text[]),
    CAST(:scores AS smallint[]), CAST(:reasons AS text[]))
    AS fresh (tenant, list_id, number, observable_id, type, value, kind, score, reason)
""")
# Of equal scores those that are in stay in.
_REBALANCE: Final = sa.text("""
SELECT observable_id, type, value, score, refused_by IS NULL FROM (
    SELECT observable_id, type, value, score, refused_by, row_number() OVER (
        ORDER BY score DESC, refused_by IS NULL DESC, joined_at, observable_id) AS place
    FROM list_entry WHERE list_id = :list AND (refused_by IS NULL OR refused_by = :capacity)
) ranked WHERE (place <= :room) <> (refused_by IS NULL) ORDER BY place
""")
_LEAVING: Final = sa.text("""
SELECT e.list_id, e.observable_id FROM list_entry e
WHERE e.leaves_at <= now()
    AND e.list_id NOT IN (SELECT list_id FROM list_fill WHERE phase = 'applying')
ORDER BY e.leaves_at, e.list_id, e.observable_id LIMIT :limit
""")
_UNDATED: Final = sa.text("""
SELECT e.list_id, e.observable_id FROM list_entry e
WHERE NOT e.is_dated AND e.refused_by IS NULL
    AND e.list_id NOT IN (SELECT list_id FROM list_fill WHERE phase = 'applying')
ORDER BY e.list_id LIMIT :limit
""")

# A level that nobody knows is above every ceiling.
_STRICT_SOURCES: Final = """
SELECT coalesce(md5(string_agg(s.id::text, ',' ORDER BY s.id)), '') FROM source s
WHERE s.tenant IN (l.tenant, :public) AND coalesce(s.tlp, '') <> ''
    AND coalesce(array_position(CAST(:levels AS text[]), s.tlp), 99)
        > array_position(CAST(:levels AS text[]), l.tlp_ceiling)
"""
_RENEW_MARKED: Final = sa.text(f"""
UPDATE dissemination_list l SET revision = revision + 1
WHERE filled_revision > 0 AND filled_revision = revision AND strict_sources <> ({_STRICT_SOURCES})
""")  # noqa: S608  # constants only
_LEVELS: Final = {"public": PUBLIC, "levels": list(MARKINGS)}
_NOTE_SOURCES: Final = sa.text(
    f"UPDATE dissemination_list l SET strict_sources = ({_STRICT_SOURCES}) "  # noqa: S608
    "WHERE id = :list"
)
_NOTE_FAILURE: Final = sa.text("""
UPDATE dissemination_list l SET fill_error = :reason, failed_revision = :revision,
    fill_failures = fresh.failures,
    fill_again_at = clock_timestamp() + fresh.seconds * interval '1 second'
FROM (SELECT id, failures, least(300, 2 ^ least(failures, 10)) AS seconds FROM (
    SELECT id, CASE WHEN failed_revision = :revision THEN fill_failures ELSE 0 END + 1 AS failures
    FROM dissemination_list WHERE id = :list) counted) fresh
WHERE l.id = fresh.id RETURNING fresh.seconds
""")


class AddedChange(NamedTuple):
    """A change with its list and its number."""

    tenant: str
    list_id: UUID
    number: int
    kind: str
    step: EntryStep


def lock_lists(session: Session, tenant: str, except_for: Collection[UUID]) -> list[ListRow]:
    """The lists that events of a tenant concern, locked in the order of their ids.

    Public observables concern the lists of all tenants. A list that was never filled is left out:
    whoever fills it looks at everything.

    Args:
        session: of the platform.
        tenant: of the events.
        except_for: lists that a fill has locked, for which changes are noted.
    """
    query = sa.select(*_COLUMNS).where(LIST.c.filled_revision > 0).order_by(LIST.c.id)
    if except_for:
        query = query.where(LIST.c.id.not_in(except_for))
    if tenant != PUBLIC:
        query = query.where(LIST.c.tenant == tenant)
    rows = session.execute(query.with_for_update(key_share=True))
    return [ListRow(*row) for row in rows]


def lock_some(session: Session, list_ids: Collection[UUID]) -> list[ListRow]:
    """Some lists, locked in the order of their ids."""
    query = sa.select(*_COLUMNS).where(LIST.c.id.in_(list_ids)).order_by(LIST.c.id)
    return [ListRow(*row) for row in session.execute(query.with_for_update(key_share=True))]


def lock_free(session: Session, list_id: UUID) -> ListRow | None:
    """A list, locked; None where another transaction has locked it, or it is gone."""
    query = sa.select(*_COLUMNS).where(LIST.c.id == list_id)
    row = session.execute(query.with_for_update(key_share=True, skip_locked=True)).one_or_none()
    return None if row is None else ListRow(*row)


def read_list(session: Session, list_id: UUID) -> ListRow | None:
    """A list as it is, without a lock."""
    row = session.execute(sa.select(*_COLUMNS).where(LIST.c.id == list_id)).one_or_none()
    return None if row is None else ListRow(*row)


def unfilled(session: Session) -> list[tuple[UUID, int]]:
    """Id and revision of the lists that were edited since they were filled, and may be tried."""
    may_be_tried = sa.or_(
        LIST.c.failed_revision != LIST.c.revision, LIST.c.fill_again_at <= sa.func.now()
    )
    query = sa.select(LIST.c.id, LIST.c.revision).where(
        LIST.c.filled_revision < LIST.c.revision, may_be_tried
    )
    return [(row[0], row[1]) for row in session.execute(query.order_by(LIST.c.updated_at))]


def renew_marked(session: Session) -> None:
    """Let lists be filled anew whose sources are marked otherwise than when they were filled.

    What a source lists is bound by its marking, and no change of an observable tells that it moved.
    """
    session.execute(_RENEW_MARKED, _LEVELS)


def note_sources(session: Session, list_id: UUID) -> None:
    """Note which sources are marked above the ceiling of a list, before it is filled."""
    session.execute(_NOTE_SOURCES, {**_LEVELS, "list": list_id})


def note_failure(session: Session, list_id: UUID, revision: int, reason: str) -> int:
    """Note why a list could not be filled; in how many seconds it is tried again.

    These are 2, twice as many after each further failure of the revision, 300 at most.
    """
    values = {"list": list_id, "revision": revision, "reason": reason[:2_000]}
    seconds = session.execute(_NOTE_FAILURE, values).scalar_one_or_none()
    return int(seconds or 0)


def present_entries(
    session: Session, list_ids: Sequence[UUID], ids: Sequence[UUID]
) -> dict[UUID, dict[UUID, PresentEntry]]:
    """The entries of some observables, by list and observable."""
    present: dict[UUID, dict[UUID, PresentEntry]] = {list_id: {} for list_id in list_ids}
    rows = session.execute(_PRESENT, {"lists": list(list_ids), "ids": list(ids)})
    for list_id, observable, *columns in rows:
        present[list_id][observable] = PresentEntry(*columns)
    return present


def own_rows(
    session: Session, tenants: Collection[str], ids: Sequence[UUID]
) -> set[tuple[str, UUID]]:
    """Which of some observables tenants have a row of their own about."""
    values = {"tenants": sorted(tenants), "ids": list(ids)}
    return {(tenant, observable) for tenant, observable in session.execute(_OWN, values)}


def facts(
    session: Session, tenants: Collection[str], ids: Sequence[UUID], harmless: str
) -> list[tuple[str, UUID, str, bool]]:
    """Tenant, id, inherited marking, and whether allow-lists have it, where either is so."""
    values = {"tenants": sorted(tenants), "ids": list(ids), "harmless": harmless}
    return [(row[0], row[1], row[2], row[3]) for row in session.execute(_FACTS, values)]


def put_entries(
    session: Session,
    entries: Sequence[tuple[str, UUID, str | None, int, EntryStep]],
    moment: datetime,
) -> None:
    """Store members and refused observables: tenant, list, refusal, number, and what it is."""
    if not entries:
        return
    steps = [entry[4] for entry in entries]
    values = _columns(steps) | {
        "tenants": [entry[0] for entry in entries],
        "lists": [entry[1] for entry in entries],
        "refusals": [entry[2] for entry in entries],
        "numbers": [entry[3] for entry in entries],
        "moment": moment,
    }
    session.execute(_PUT, values)


def delete_entries(session: Session, entries: Sequence[tuple[UUID, UUID]]) -> None:
    """Delete entries, by list and observable."""
    if entries:
        session.execute(_DELETE, _pairs(entries))


def rescore_entries(session: Session, entries: Sequence[tuple[UUID, UUID, int]]) -> None:
    """Store other scores of entries, by list and observable; when they leave is open again."""
    if entries:
        scores = [entry[2] for entry in entries]
        session.execute(_RESCORE, _pairs(entries) | {"scores": scores})


def grant_grace(session: Session, entries: Sequence[tuple[UUID, UUID]], moment: datetime) -> None:
    """Let entries leave when the grace time of their list is over."""
    if entries:
        session.execute(_GRACE, _pairs(entries) | {"moment": moment})


def date_entries(session: Session, entries: Sequence[tuple[UUID, UUID, datetime | None]]) -> None:
    """Store when members leave that are undated or due, by list and observable."""
    if entries:
        moments = [entry[2] for entry in entries]
        session.execute(_DATE, _pairs(entries) | {"moments": moments})


def add_changes(session: Session, changes: Sequence[AddedChange], moment: datetime) -> None:
    """Store changes; their lists are locked."""
    if not changes:
        return
    steps = [change.step for change in changes]
    values = _columns(steps) | {
        "tenants": [change.tenant for change in changes],
        "lists": [change.list_id for change in changes],
        "numbers": [change.number for change in changes],
        "kinds": [change.kind for change in changes],
        "reasons": [step.reason for step in steps],
        "moment": moment,
    }
    session.execute(_CHANGE, values)


def rebalance(session: Session, list_id: UUID, capacity: int) -> list[tuple[EntryStep, bool]]:
    """What has to change places for the highest scores to fill a list; whether it is in now."""
    values = {"list": list_id, "room": capacity, "capacity": CAPACITY}
    return [
        (EntryStep(observable, type_, value, score, ""), is_member)
        for observable, type_, value, score, is_member in session.execute(_REBALANCE, values)
    ]


def update_list(session: Session, list_id: UUID, values: dict[str, Any]) -> None:
    """Change columns of a list that is locked."""
    session.execute(sa.update(LIST).where(LIST.c.id == list_id).values(**values))


def leaving(session: Session, limit: int) -> list[tuple[UUID, UUID]]:
    """Entries whose time to leave has come: list and observable."""
    return [(row[0], row[1]) for row in session.execute(_LEAVING, {"limit": limit})]


def undated(session: Session, limit: int) -> list[tuple[UUID, UUID]]:
    """Members of which nobody has computed when they leave: list and observable."""
    return [(row[0], row[1]) for row in session.execute(_UNDATED, {"limit": limit})]


def _pairs(entries: Iterable[tuple[Any, ...]]) -> dict[str, list[UUID]]:
    rows = list(entries)
    return {"lists": [row[0] for row in rows], "ids": [row[1] for row in rows]}


def _columns(steps: Sequence[EntryStep]) -> dict[str, Any]:
    return {
        "ids": [step.observable for step in steps],
        "types": [step.type for step in steps],
        "texts": [step.value for step in steps],
        "scores": [step.score for step in steps],
    }
