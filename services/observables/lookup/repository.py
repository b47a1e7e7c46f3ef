"""The SQL of searches: which observables match a filter."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.store.models import ASSERTION, OBSERVABLE
from services.observables.store.search_keys import Range, beginning
from shared.database import PUBLIC
from shared.stix import refang


class Filter(NamedTuple):
    """The conditions of a list or a count; None does not filter.

    Attributes:
        min_score: of the score that was last published; time may have lowered it since.
        prefix: the beginning of the value.
        ranges: ranges of search keys.
    """

    source: UUID | None = None
    type: str | None = None
    min_score: int | None = None
    tag: str | None = None
    prefix: str | None = None
    ranges: Sequence[Range] = ()


def page(
    session: Session, tenant: str, conditions: Filter, after: UUID | None, limit: int
) -> list[str]:
    """Ids of observables in the order of their ids, each once, beginning after `after`."""
    if conditions.prefix is not None:
        return _page_by_prefix(session, tenant, conditions, conditions.prefix, after, limit)
    identity = OBSERVABLE.c.id
    query = _filtered(sa.select(identity).distinct().order_by(identity).limit(limit), conditions)
    if after is not None:
        query = query.where(identity > after)
    return [str(uuid) for uuid in session.scalars(query)]


def _page_by_prefix(
    session: Session,
    tenant: str,
    conditions: Filter,
    prefix: str,
    after: UUID | None,
    limit: int,
) -> list[str]:
    """A page from each range of the indexes that may hold the prefix, merged."""
    identity = OBSERVABLE.c.id
    ranges = [begins for text in _spellings(prefix) for begins in _index_ranges(text)]
    parts = []
    for owner in {tenant, PUBLIC}:
        for begins in ranges:
            query = _filtered(sa.select(identity), conditions)
            query = query.where(OBSERVABLE.c.tenant == owner, begins)
            if after is not None:
                query = query.where(identity > after)
            parts.append(query.order_by(identity).limit(limit).subquery())
    union = sa.union(*(sa.select(part.c.id) for part in parts)).subquery()
    merged = sa.select(union.c.id).order_by(union.c.id).limit(limit)
    return [str(uuid) for uuid in session.scalars(merged)]


def _spellings(prefix: str) -> tuple[str, ...]:
    """A beginning as it was typed, and as names and hashes are written."""
    return tuple({prefix, prefix.lower(), refang(prefix).lower()})


def _index_ranges(prefix: str) -> list[sa.ColumnElement[bool]]:
    """Where the indexes hold values that begin like that; together they leave out none."""
    start = OBSERVABLE.c.beginning
    key = OBSERVABLE.c.key
    last = chr(sys.maxunicode)
    by_key = sa.or_(*(sa.and_(key >= low, key < high) for low, high in beginning(prefix)))
    return [sa.and_(start >= prefix, start < prefix + last), sa.and_(start.is_(None), by_key)]


def page_by_key(
    session: Session, tenant: str, conditions: Filter, after: tuple[str, UUID] | None, limit: int
) -> list[tuple[str, UUID]]:
    """Keys and ids in the order of search keys, each once, beginning after `after`."""
    key = OBSERVABLE.c.key
    identity = OBSERVABLE.c.id
    parts = []
    for owner in {tenant, PUBLIC}:
        for low, high in conditions.ranges:
            query = _filtered(sa.select(key, identity), conditions).where(
                OBSERVABLE.c.tenant == owner, key >= low, key < high
            )
            if after is not None:
                query = query.where(key >= after[0], sa.or_(key > after[0], identity > after[1]))
            parts.append(query.order_by(key, identity).limit(limit).subquery())
    union = sa.union(*(sa.select(part.c.key, part.c.id) for part in parts)).subquery()
    query = sa.select(union.c.key, union.c.id).order_by(union.c.key, union.c.id).limit(limit)
    return [(row.key, row.id) for row in session.execute(query)]


def count(session: Session, conditions: Filter) -> int:
    """How many distinct observables match."""
    query = _filtered(sa.select(OBSERVABLE.c.id).distinct(), conditions)
    if conditions.ranges:
        key = OBSERVABLE.c.key
        query = query.where(
            sa.or_(*(sa.and_(key >= low, key < high) for low, high in conditions.ranges))
        )
    return session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def _filtered(query: sa.Select[Any], conditions: Filter) -> sa.Select[Any]:
    """Add the conditions that hold for a row by itself."""
    if conditions.source is not None or conditions.tag is not None:
        asserted = sa.select(sa.literal(1)).where(
            ASSERTION.c.tenant == OBSERVABLE.c.tenant,
            ASSERTION.c.observable_id == OBSERVABLE.c.id,
            ASSERTION.c.retracted_at.is_(None),
        )
        if conditions.source is not None:
            asserted = asserted.where(ASSERTION.c.source_id == conditions.source)
        if conditions.tag is not None:
            asserted = asserted.where(ASSERTION.c.tags.contains([conditions.tag]))
        query = query.where(asserted.exists())
    if conditions.type is not None:
        query = query.where(OBSERVABLE.c.type == conditions.type)
    if conditions.min_score is not None:
        query = query.where(OBSERVABLE.c.score >= conditions.min_score)
    if conditions.prefix is not None:
        spellings = _spellings(conditions.prefix)
        query = query.where(
            sa.or_(*(sa.func.starts_with(OBSERVABLE.c.value, text) for text in spellings))
        )
    return query
