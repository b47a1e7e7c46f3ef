"""The SQL that fills a list: all observables that its filter selects, against its entries."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.observables.dissemination.lists.models import CAPACITY, ListRow
from services.observables.dissemination.membership.plan import EXPIRED
from services.observables.store.models import ASSERTION, OBSERVABLE, SOURCE
from shared.database import PUBLIC, driver_connection
from shared.filters.filter import FilterExpression
from shared.filters.matcher import Environment
from shared.filters.sql import SqlColumns
from shared.stix.markings import STRICTNESS

_OWN: Final = OBSERVABLE.alias("own")
COLUMNS: Final = SqlColumns(
    {
        "observable.type": OBSERVABLE.c.type,
        "observable.value": OBSERVABLE.c.value,
        "observable.score": OBSERVABLE.c.score,
    },
    {},
)
_MARKING: Final = r"^\s*[\x22']*(tlp|pap|marking)\W"
"""Begins tags that state a marking; what it lets pass is looked at more closely."""
_ARRAYSIZE: Final = 20_000

_STAGE: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS list_stage (observable_id uuid PRIMARY KEY, type text NOT NULL,
    value text NOT NULL, score smallint NOT NULL, refused_by text) ON COMMIT DROP
"""
_COPY: Final = "COPY list_stage (observable_id, type, value, score, refused_by) FROM STDIN"
_UNSTAGE: Final = sa.text("DELETE FROM list_stage WHERE observable_id = ANY(:ids)")
_LIMIT: Final = sa.text("""
UPDATE list_stage SET refused_by = :capacity FROM (
    SELECT s.observable_id, row_number() OVER (ORDER BY s.score DESC,
        e.observable_id IS NULL, e.joined_at, s.observable_id) AS place
    FROM list_stage s LEFT JOIN list_entry e ON e.list_id = :list
        AND e.observable_id = s.observable_id AND e.refused_by IS NULL
    WHERE s.refused_by IS NULL
) ranked WHERE ranked.observable_id = list_stage.observable_id AND ranked.place > :room
""")
_DEPART: Final = sa.text("""
INSERT INTO list_change (tenant, list_id, number, changed_at, observable_id, type, value, kind,
    score, reason)
SELECT e.tenant, e.list_id, :base + row_number() OVER (ORDER BY e.observable_id), :moment,
    e.observable_id, e.type, e.value, 'out', e.score,
    CASE WHEN s.observable_id IS NULL THEN 'the list selects it no more'
        WHEN s.refused_by = :capacity THEN 'over capacity' ELSE 'refused: ' || s.refused_by END
FROM list_entry e LEFT JOIN list_stage s ON s.observable_id = e.observable_id
WHERE e.list_id = :list AND e.refused_by IS NULL
    AND (s.observable_id IS NULL OR s.refused_by IS NOT NULL)
""")
_JOIN: Final = sa.text("""
INSERT INTO list_change (tenant, list_id, number, changed_at, observable_id, type, value, kind,
    score, reason)
SELECT :tenant, :list, :base + row_number() OVER (ORDER BY s.score DESC, s.observable_id), :moment,
    s.observable_id, s.type, s.value, 'in', s.score, 'the list selects it'
FROM list_stage s LEFT JOIN list_entry e ON e.list_id = :list
    AND e.observable_id = s.observable_id AND e.refused_by IS NULL
WHERE s.refused_by IS NULL AND e.observable_id IS NULL
""")
_REMOVE: Final = sa.text("""
DELETE FROM list_entry e WHERE e.list_id = :list
    AND NOT EXISTS (SELECT FROM list_stage s WHERE s.observable_id = e.observable_id)
""")
# Entries that stay as they are are not touched: the list is locked while this runs.
_PUT: Final = sa.text("""
INSERT INTO list_entry AS entry (tenant, list_id, observable_id, type, value, score, refused_by,
    number, joined_at)
SELECT :tenant, :list, s.observable_id, s.type, s.value, s.score, s.refused_by,
    coalesce(c.number, 0), :moment
FROM list_stage s LEFT JOIN list_change c ON c.list_id = :list AND c.number > :base
    AND c.observable_id = s.observable_id AND c.kind = 'in'
LEFT JOIN list_entry old ON old.list_id = :list AND old.observable_id = s.observable_id
WHERE old.observable_id IS NULL OR old.score <> s.score OR old.leaves_at IS NOT NULL
    OR old.refused_by IS DISTINCT FROM s.refused_by
ON CONFLICT (list_id, observable_id) DO UPDATE SET score = excluded.score,
    refused_by = excluded.refused_by, leaves_at = NULL, is_dated = false,
    number = CASE WHEN excluded.number > 0 THEN excluded.number ELSE entry.number END,
    joined_at = CASE WHEN entry.refused_by IS DISTINCT FROM excluded.refused_by
        THEN excluded.joined_at ELSE entry.joined_at END
WHERE entry.score <> excluded.score OR entry.leaves_at IS NOT NULL
    OR entry.refused_by IS DISTINCT FROM excluded.refused_by
""")
_MEMBERS: Final = sa.text("""
SELECT count(*) FROM list_entry WHERE list_id = :list AND refused_by IS NULL
""")


class StoredMatch(NamedTuple):
    """An observable that the SQL condition of a list selects.

    Attributes:
        is_marked: whether a marking above the list's ceiling may bind it.
        is_allow_listed: whether an allow-list has it.
        marking: the one that it has inherited; empty for none.
    """

    id: UUID
    type: str
    value: str
    score: int
    is_marked: bool
    is_allow_listed: bool
    marking: str


class StagedRow(NamedTuple):
    """An observable that a list selects, and the guard that refuses it; None for a member."""

    observable: UUID
    type: str
    value: str
    score: int
    refused_by: str | None


class FillVersion(NamedTuple):
    """What filling a list has done."""

    joins: int
    departures: int
    members: int


def select_matches(
    session: Session,
    row: ListRow,
    expression: FilterExpression,
    environment: Environment,
    harmless: str,
    ids: Collection[UUID] | None = None,
) -> Iterator[list[StoredMatch]]:
    """All observables that a list's condition selects, in pages, as the list's tenant sees them.

    Args:
        session: the transaction that fills the list.
        row: the list.
        expression: its filter; where it is not exact in SQL, more is selected.
        environment: its moment becomes a parameter.
        harmless: the pattern of contexts with an entry of an allow-list.
        ids: these alone; None for all.
    """
    tenants = [row.tenant] if row.tenant == PUBLIC else [row.tenant, PUBLIC]
    strict = _strict_sources(session, tenants, row.tlp_ceiling)
    query = (
        sa.select(
            OBSERVABLE.c.id,
            OBSERVABLE.c.type,
            OBSERVABLE.c.value,
            OBSERVABLE.c.score,
            _is_marked(tenants, strict),
            sa.cast(OBSERVABLE.c.context, sa.Text).op("~")(harmless),
            sa.func.coalesce(OBSERVABLE.c.tlp, ""),
        )
        .where(OBSERVABLE.c.score >= EXPIRED, expression.sql(COLUMNS, environment).condition)
        .where(_is_visible(row.tenant))
    )
    if ids is not None:
        query = query.where(OBSERVABLE.c.id == sa.any_(sa.cast(list(ids), pg.ARRAY(pg.UUID))))
    yield from _pages(session, query)


def stage(session: Session, rows: Iterator[Sequence[StagedRow]]) -> None:
    """Store what a list selects in a table of the transaction: id, type, value, score, refusal."""
    connection = driver_connection(session)
    connection.execute(_STAGE)
    for page in rows:
        # A copy by itself for each page: in between the next page is read on the same connection.
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for values in page:
                copy.write_row(values)


def analyze_stage(session: Session) -> None:
    """Let the database know how much is staged, before it is applied."""
    driver_connection(session).execute("ANALYZE list_stage")


def unstage(session: Session, ids: Collection[UUID]) -> None:
    """Take observables out of the stage, which are to be staged anew."""
    session.execute(_UNSTAGE, {"ids": list(ids)})


def apply_stage(session: Session, row: ListRow, moment: datetime) -> FillVersion:
    """Make the entries of a locked list what was staged, with numbered changes."""
    base = row.last_change_number
    values: dict[str, Any] = {
        "list": row.id,
        "tenant": row.tenant,
        "moment": moment,
        "capacity": CAPACITY,
    }
    if row.capacity is not None:
        session.execute(_LIMIT, values | {"room": row.capacity})
    departures = _count(session, _DEPART, values | {"base": base})
    joins = _count(session, _JOIN, values | {"base": base + departures})
    session.execute(_REMOVE, values)
    session.execute(_PUT, values | {"base": base})
    members = int(session.execute(_MEMBERS, values).scalar_one())
    return FillVersion(joins, departures, members)


def _count(session: Session, statement: sa.TextClause, values: dict[str, Any]) -> int:
    return int(session.execute(statement, values).rowcount)  # type: ignore[attr-defined]


def _strict_sources(session: Session, tenants: Collection[str], ceiling: str) -> list[UUID]:
    """Sources that are marked above a ceiling."""
    within = [level for level, place in STRICTNESS.items() if place <= STRICTNESS[ceiling]]
    marking = sa.func.coalesce(SOURCE.c.tlp, "")
    query = sa.select(SOURCE.c.id).where(
        SOURCE.c.tenant.in_(tenants), marking.not_in([*within, ""])
    )
    return list(session.scalars(query))


def _is_marked(tenants: Collection[str], strict: Sequence[UUID]) -> sa.ColumnElement[bool]:
    """Whether an observable may be bound by a marking: its own, its sources', its tags'.

    What was retracted counts as well: it binds what nobody asserts any more.
    """
    tag = sa.func.unnest(ASSERTION.c.tags).column_valued("tag")
    marked_tag = sa.exists(sa.select(tag).where(tag.op("~*")(_MARKING)))
    asserted = sa.select(sa.literal(1)).where(
        ASSERTION.c.tenant.in_(tenants),
        ASSERTION.c.observable_id == OBSERVABLE.c.id,
        sa.or_(
            ASSERTION.c.source_id == sa.any_(sa.cast(list(strict), pg.ARRAY(pg.UUID))),
            marked_tag,
        ),
    )
    return sa.or_(sa.func.coalesce(OBSERVABLE.c.tlp, "") != "", asserted.exists())


def _is_visible(tenant: str) -> sa.ColumnElement[bool]:
    """The tenant's own row of an observable, or the public one where it has none."""
    if tenant == PUBLIC:
        return OBSERVABLE.c.tenant == PUBLIC
    own = sa.select(sa.literal(1)).where(_OWN.c.tenant == tenant, _OWN.c.id == OBSERVABLE.c.id)
    return sa.or_(
        OBSERVABLE.c.tenant == tenant,
        sa.and_(OBSERVABLE.c.tenant == PUBLIC, ~own.exists()),
    )


def _pages(session: Session, query: sa.Select[Any]) -> Iterator[list[StoredMatch]]:
    """The rows of a query, read page by page from the server."""
    result = session.execute(query, execution_options={"yield_per": _ARRAYSIZE})
    for page in result.partitions():
        yield [StoredMatch._make(row) for row in page]
