"""The SQL of consumers and their polls."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.observables.dissemination.consumers.models import (
    CONSUMER,
    ConsumerRow,
    PolledList,
    PollRow,
    SilentConsumer,
)
from services.observables.dissemination.lists.models import LIST
from shared.errors import Conflict

_COLUMNS: Final = tuple(CONSUMER.c[name] for name in ConsumerRow._fields)

_POLLED: Final = sa.text("""
SELECT l.id, l.published_number, l.state, l.filled_revision > 0, f.number, f.digest, f.size,
    f.entries, f.changed_at
FROM dissemination_list l LEFT JOIN list_file f ON f.list_id = l.id AND f.format = :format
WHERE l.tenant = :tenant AND l.name = :name AND l.id = ANY(:lists)
""")
_NOTE: Final = sa.text("""
INSERT INTO list_poll AS poll (tenant, consumer_id, list_id, format, polled_at, number, entries,
    address, agent)
VALUES (:tenant, :consumer, :list, :format, now(), :number, :entries, :address, :agent)
ON CONFLICT (consumer_id, list_id, format) DO UPDATE SET polled_at = excluded.polled_at,
    number = excluded.number, entries = excluded.entries, address = excluded.address,
    agent = excluded.agent
""")
_POLLS: Final = sa.text("""
SELECT p.consumer_id, c.name, p.list_id, l.name, p.format, p.polled_at, p.number,
    l.published_number, p.entries, p.address, p.agent,
    CASE WHEN p.number = l.published_number THEN 0 ELSE greatest(0, extract(epoch FROM now() - (
        SELECT n.changed_at FROM list_change n WHERE n.list_id = p.list_id AND n.number > p.number
        ORDER BY n.number LIMIT 1))) END::float8
FROM list_poll p JOIN list_consumer c ON c.id = p.consumer_id
JOIN dissemination_list l ON l.id = p.list_id
WHERE p.tenant = :tenant AND p.consumer_id = ANY(:consumers)
ORDER BY c.name, l.name, p.format
""")
# What a consumer has is told by the first change behind its version, or else by the present.
_HOLDERS: Final = sa.text("""
SELECT p.consumer_id, c.name, p.list_id, l.name, p.format, p.polled_at, p.number,
    l.published_number, p.entries, p.address, p.agent, 0.0::float8
FROM list_poll p JOIN list_consumer c ON c.id = p.consumer_id
JOIN dissemination_list l ON l.id = p.list_id
LEFT JOIN LATERAL (
    SELECT n.kind FROM list_change n WHERE n.list_id = p.list_id AND n.observable_id = :observable
        AND n.number > p.number ORDER BY n.number LIMIT 1
) later ON true
LEFT JOIN list_entry e ON e.list_id = p.list_id AND e.observable_id = :observable
    AND e.refused_by IS NULL
WHERE p.tenant = :tenant AND p.number > 0
    AND CASE WHEN later.kind IS NULL THEN e.observable_id IS NOT NULL ELSE later.kind = 'out' END
ORDER BY c.name, l.name, p.format
""")
_SILENT: Final = sa.text("""
UPDATE list_consumer c SET silent_since = now() FROM (
    SELECT c.id, max(p.polled_at) AS polled_at FROM list_consumer c
    LEFT JOIN list_poll p ON p.consumer_id = c.id
    WHERE c.revoked_at IS NULL AND c.silent_since IS NULL GROUP BY c.id
) last WHERE last.id = c.id AND coalesce(last.polled_at, c.created_at)
    < now() - c.silent_after_seconds * interval '1 second'
RETURNING c.tenant, c.id, c.name, last.polled_at
""")
_RESUMED: Final = sa.text("""
UPDATE list_consumer c SET silent_since = NULL FROM (
    SELECT p.consumer_id, max(p.polled_at) AS polled_at FROM list_poll p GROUP BY p.consumer_id
) last WHERE last.consumer_id = c.id AND c.silent_since IS NOT NULL
    AND last.polled_at > c.silent_since
RETURNING c.tenant, c.id, c.name, last.polled_at
""")


def page(session: Session, tenant: str, after: str | None, limit: int) -> list[ConsumerRow]:
    """A tenant's consumers by name, beginning after one."""
    query = sa.select(*_COLUMNS).where(CONSUMER.c.tenant == tenant)
    query = query.order_by(CONSUMER.c.name).limit(limit)
    if after is not None:
        query = query.where(CONSUMER.c.name > after)
    return [ConsumerRow(*row) for row in session.execute(query)]


def get(session: Session, consumer: UUID) -> ConsumerRow | None:
    """A consumer that the transaction sees."""
    row = session.execute(sa.select(*_COLUMNS).where(CONSUMER.c.id == consumer)).one_or_none()
    return ConsumerRow(*row) if row else None


def lock(session: Session, tenant: str, consumer: UUID) -> ConsumerRow | None:
    """A consumer of the tenant, locked until the transaction ends."""
    query = sa.select(*_COLUMNS).where(_is(tenant, consumer)).with_for_update()
    row = session.execute(query).one_or_none()
    return ConsumerRow(*row) if row else None


def add(session: Session, values: Mapping[str, Any]) -> ConsumerRow:
    """Store a consumer.

    Raises:
        Conflict: the tenant has one of that name.
    """
    statement = sa.insert(CONSUMER).values(**values).returning(*_COLUMNS)
    try:
        return ConsumerRow(*session.execute(statement).one())
    except IntegrityError as error:
        raise _name_conflict(values) from error


def change(
    session: Session, tenant: str, consumer: UUID, values: Mapping[str, Any]
) -> ConsumerRow | None:
    """Change columns of a consumer.

    Raises:
        Conflict: the tenant has another one of that name.
    """
    statement = sa.update(CONSUMER).where(_is(tenant, consumer)).values(**values)
    try:
        row = session.execute(statement.returning(*_COLUMNS)).one_or_none()
    except IntegrityError as error:
        raise _name_conflict(values) from error
    return ConsumerRow(*row) if row else None


def revoke(session: Session, tenant: str, consumer: UUID) -> ConsumerRow | None:
    """End the token of a consumer."""
    return change(session, tenant, consumer, {"revoked_at": sa.func.now()})


def delete(session: Session, tenant: str, consumer: UUID) -> bool:
    """Delete a consumer; whether there was one."""
    statement = sa.delete(CONSUMER).where(_is(tenant, consumer)).returning(CONSUMER.c.id)
    return session.execute(statement).first() is not None


def list_names(session: Session, tenant: str, list_ids: Collection[UUID]) -> dict[UUID, str]:
    """The names of those lists of a tenant that exist."""
    query = sa.select(LIST.c.id, LIST.c.name).where(
        LIST.c.tenant == tenant, LIST.c.id.in_(list_ids)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def polled_list(
    session: Session, consumer: ConsumerRow, name: str, format_: str
) -> PolledList | None:
    """A list that a consumer may poll, with the file that is ready."""
    values = {
        "tenant": consumer.tenant,
        "name": name,
        "format": format_,
        "lists": consumer.list_ids,
    }
    row = session.execute(_POLLED, values).one_or_none()
    return PolledList(*row) if row else None


def note_poll(session: Session, values: Mapping[str, Any]) -> None:
    """Note what a consumer has fetched."""
    session.execute(_NOTE, values)


def polls(session: Session, tenant: str, consumers: Collection[UUID]) -> list[PollRow]:
    """What consumers have of their lists."""
    rows = session.execute(_POLLS, {"tenant": tenant, "consumers": list(consumers)})
    return [PollRow(*row) for row in rows]


def holders(session: Session, tenant: str, observable: UUID) -> list[PollRow]:
    """What consumers fetched last that has an observable."""
    rows = session.execute(_HOLDERS, {"tenant": tenant, "observable": observable})
    return [PollRow(*row) for row in rows]


def format_options(
    session: Session, list_ids: Collection[UUID]
) -> dict[UUID, Mapping[str, Mapping[str, str]]]:
    """The options that lists set, by the names of formats."""
    query = sa.select(LIST.c.id, LIST.c.format_options).where(LIST.c.id.in_(list_ids))
    return {row[0]: row[1] for row in session.execute(query)}


def mark_silent(session: Session) -> list[SilentConsumer]:
    """Mark the consumers that poll no more; which are new among them."""
    return [SilentConsumer(*row) for row in session.execute(_SILENT)]


def mark_resumed(session: Session) -> list[SilentConsumer]:
    """Mark the consumers that poll again."""
    return [SilentConsumer(*row) for row in session.execute(_RESUMED)]


def _is(tenant: str, consumer: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(CONSUMER.c.tenant == tenant, CONSUMER.c.id == consumer)


def _name_conflict(values: Mapping[str, Any]) -> Conflict:
    return Conflict(f"There is a consumer named {values.get('name')!r} already.", field="name")
