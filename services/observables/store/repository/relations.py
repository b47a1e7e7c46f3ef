"""Relations between observables."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.store.models import RELATION
from shared.database import PUBLIC

_PUT_OF_SOURCE: Final = sa.text(
    "INSERT INTO relation AS stored "
    "(tenant, from_id, kind, to_id, source, first_seen, last_seen, recorded_at) "
    "SELECT :tenant, named.from_id, named.kind, named.to_id, :source, :at, :at, clock_timestamp() "
    "FROM unnest(CAST(:from_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:to_ids AS uuid[])) "
    "AS named (from_id, kind, to_id) "
    "ON CONFLICT (tenant, from_id, kind, to_id, source) DO UPDATE "
    "SET first_seen = least(stored.first_seen, excluded.first_seen), "
    "last_seen = greatest(stored.last_seen, excluded.last_seen) "
    "WHERE excluded.first_seen < stored.first_seen OR excluded.last_seen > stored.last_seen"
)


class NewRelation(NamedTuple):
    """The row of a relation.

    Attributes:
        source: the actor or the enricher that reports it.
    """

    tenant: str
    from_id: UUID
    kind: str
    to_id: UUID
    source: str
    first_seen: datetime
    last_seen: datetime
    recorded_at: datetime


class RelationPlace(NamedTuple):
    """The place of a relation in its list, which is in the order of these fields."""

    last_seen: datetime
    from_id: str
    to_id: str
    kind: str
    source: str
    tenant: str


class RelationRow(NamedTuple):
    """A stored relation."""

    place: RelationPlace
    first_seen: datetime


class RelationFilter(NamedTuple):
    """Which relations of an observable: of one kind, from it (`out`) or to it (`in`)."""

    kind: str | None = None
    direction: Literal["in", "out"] | None = None


class RelationTally(NamedTuple):
    """How many relations of one kind and direction an observable has."""

    kind: str
    direction: Literal["in", "out"]
    total: int


def put_relations(session: Session, rows: Sequence[NewRelation]) -> None:
    """Store relations, at most one of each key; of one that is stored only the times grow wider."""
    if not rows:
        return
    statement = insert(RELATION)
    wider = {
        "first_seen": sa.func.least(RELATION.c.first_seen, statement.excluded.first_seen),
        "last_seen": sa.func.greatest(RELATION.c.last_seen, statement.excluded.last_seen),
    }
    keys = ["tenant", "from_id", "kind", "to_id", "source"]
    session.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=wider),
        [row._asdict() for row in sorted(rows)],
    )


def put_relations_of_source(
    session: Session,
    tenant: str,
    source: str,
    observed_at: datetime,
    named: Collection[tuple[str, str, str]],
) -> None:
    """Store relations that a run of a source names; of one that is stored the times grow wider.

    Args:
        session: a transaction of the tenant's that has locked the buckets of the observables from
            which they go.
        tenant: the source's.
        source: name of the source.
        observed_at: the time of the run.
        named: id of an observable, kind of relation, id of the other observable.
    """
    if not named:
        return
    rows = sorted(named)
    parameters = {
        "tenant": tenant,
        "source": source,
        "at": observed_at,
        "from_ids": [row[0] for row in rows],
        "kinds": [row[1] for row in rows],
        "to_ids": [row[2] for row in rows],
    }
    session.execute(_PUT_OF_SOURCE, parameters)


def read_relations(
    session: Session,
    tenant: str,
    identity: str,
    narrowed: RelationFilter,
    after: RelationPlace | None,
    limit: int,
) -> list[RelationRow]:
    """Relations from and to an observable, the last seen first, beginning after a place."""
    from_id = sa.cast(RELATION.c.from_id, sa.Text)
    to_id = sa.cast(RELATION.c.to_id, sa.Text)
    place = (
        RELATION.c.last_seen,
        from_id,
        to_id,
        RELATION.c.kind,
        RELATION.c.source,
        RELATION.c.tenant,
    )
    query = (
        sa.select(*place, RELATION.c.first_seen)
        .where(RELATION.c.tenant.in_({tenant, PUBLIC}), _ends(identity, narrowed.direction))
        .order_by(*(column.desc() for column in place))
        .limit(limit)
    )
    if narrowed.kind is not None:
        query = query.where(RELATION.c.kind == narrowed.kind)
    if after is not None:
        columns = sa.tuple_(*(sa.type_coerce(column, column.type) for column in place))
        query = query.where(columns < tuple(after))
    return [RelationRow(RelationPlace(*row[:-1]), row[-1]) for row in session.execute(query)]


def count_relations(session: Session, tenant: str, identity: str, most: int) -> list[RelationTally]:
    """Count the relations of an observable by kind and direction, the most frequent first.

    Args:
        session: a transaction of the tenant's.
        tenant: whose relations count, beside those of `public`.
        identity: of the observable.
        most: relations that are read; with more the counts are too low.
    """
    is_outward = RELATION.c.from_id == identity
    read = (
        sa.select(RELATION.c.kind, sa.case((is_outward, "out"), else_="in").label("direction"))
        .where(RELATION.c.tenant.in_({tenant, PUBLIC}), _ends(identity, None))
        .limit(most)  # any rows: past the bound the counts are said to be too low
        .subquery()
    )
    count = sa.func.count()
    query = (
        sa.select(read.c.kind, read.c.direction, count)
        .group_by(read.c.kind, read.c.direction)
        .order_by(count.desc(), read.c.kind, read.c.direction)
    )
    return [RelationTally(*row) for row in session.execute(query)]


def _ends(identity: str, direction: Literal["in", "out"] | None) -> sa.ColumnElement[bool]:
    """That a relation goes from or to an observable."""
    begins = RELATION.c.from_id == identity
    ends = RELATION.c.to_id == identity
    if direction == "out":
        return begins
    # one that leads to itself goes out, so that each has one direction
    return sa.and_(ends, sa.not_(begins)) if direction == "in" else sa.or_(begins, ends)
