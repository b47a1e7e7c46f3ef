"""The transactional outbox: an event is a row of its transaction until Kafka acknowledged it."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg.rows import class_row
from sqlalchemy.orm import Session

from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import Unavailable
from shared.events import ConsumedRecord, Event, Headers
from shared.events.audit import RECORDED, Recorded
from shared.kafka.letters import compose_letter
from shared.kafka.producer import Publisher
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import OUTBOX_PUBLISHED
from shared.tenants import is_tenant

log = get_logger(__name__)

OUTBOX = sa.table(
    "outbox",
    sa.column("id", sa.BigInteger),
    sa.column("topic", sa.Text),
    sa.column("key", sa.LargeBinary),
    sa.column("headers", sa.JSON),
    sa.column("payload", sa.LargeBinary),
    sa.column("tenant", sa.Text),
)
_BATCH: Final = 64
_POLL_SECONDS: Final = 1.0
_STATEMENT_SECONDS: Final = 30.0
_SESSION_SECONDS: Final = 60.0
"""Seconds without a statement after which the server ends a relay's session, and its lock with it:
the relay is frozen, or its connection is half-open. A producer gives up on Kafka before."""
_END_IDLE_SESSION: Final = "SELECT set_config('idle_session_timeout', %s, false)"
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('sentineliq.relay.' || %s))"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtext('sentineliq.relay.' || %s))"
_SELECT: Final = "SELECT id, topic, key, headers, payload FROM outbox ORDER BY id LIMIT %s"
_DELETE: Final = "DELETE FROM outbox WHERE id = ANY(%s)"


def publish(session: Session, events: Iterable[Event[Any]]) -> None:
    """Write events to the outbox: they are published if, and only if, the transaction commits."""
    rows = [
        _row(event.topic.name, event.key, event.payload(), event.headers(), event.tenant)
        for event in events
    ]
    if rows:
        session.execute(sa.insert(OUTBOX), rows)


def audit(
    session: Session,
    service: str,
    tenant: str,
    actor: str,
    action: str,
    target: object,
    **details: str,
) -> None:
    """Publish `audit.recorded.v1`, if the transaction commits: who changed what.

    Args:
        session: the transaction that makes the change.
        service: the service's name.
        tenant: the tenant in which it happens. No event is the platform's: what concerns no
            tenant is told as the operators', who write in `public`.
        actor: the subject of the token.
        action: for instance `feeds.create`.
        target: the id of what was changed.
        details: what is worth keeping; never a secret.
    """
    data = Recorded(actor, action, str(target), details)
    owner = PUBLIC if tenant == PLATFORM else tenant
    publish(session, [Event(RECORDED, data, owner, f"/services/{service}", owner.encode())])


def dead_letter(
    session: Session, record: ConsumedRecord, reason: str, *, tenant: str, topic: str
) -> None:
    """Send a record that cannot be handled to its dead-letter topic, with the reason.

    Args:
        session: the transaction that passes over the record.
        record: may hold anything; `shared.kafka.letters` says what becomes of it.
        reason: what is wrong with it.
        tenant: whose it is. What names no tenant belongs to the platform.
        topic: the topic's name in the catalogue.
    """
    letter = compose_letter(record, reason)
    owner = tenant if is_tenant(tenant) else PLATFORM
    row = _row(f"{topic}.dead", letter.key, letter.value, letter.headers, owner)
    session.execute(sa.insert(OUTBOX), [row])


def _row(
    topic: str, key: bytes | None, payload: bytes, headers: Headers, tenant: str
) -> dict[str, Any]:
    # Headers are bytes, and those of a dead letter may be any: latin-1 keeps each byte in JSON.
    text = [[name, value.decode("latin-1")] for name, value in headers]
    return {"topic": topic, "key": key, "headers": text, "payload": payload, "tenant": tenant}


class _OutboxRow(NamedTuple):
    id: int
    topic: str
    key: bytes | None
    headers: list[tuple[str, str]]
    payload: bytes


class Relay:
    """Publishes a service's outbox in order and deletes what Kafka has acknowledged.

    A crash between the two repeats events with the same id, and all handlers are idempotent.

    One relay publishes at a time: for each batch it takes a lock of its database session. All its
    statements run in that session, so that a relay which has lost the lock cannot go on. A relay
    that waits holds nothing; the server ends the session of one that falls silent during a batch,
    so that another one takes over. No transaction is open while records are on their way to Kafka,
    and no statement blocks the event loop.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def run(self) -> None:
        """Relay until cancelled; survives the loss of the database and of Kafka."""
        while True:
            try:
                async with await self._database.connect_async(PLATFORM) as connection:
                    await self._relay(connection)
            except Unavailable as error:
                # The producer may have failed for good (a fatal idempotence error): the next round
                # makes a new one.
                log.warning("relay.waiting", reason=error.message)
            except (psycopg.Error, TimeoutError) as error:
                log.warning("relay.listen_failed", reason=str(error))
            await asyncio.sleep(_POLL_SECONDS)

    async def _relay(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(_END_IDLE_SESSION, (f"{_SESSION_SECONDS:.0f}s",))
        await connection.execute(f"LISTEN {self._database.service}_outbox")
        async with Publisher(self._settings) as publisher:
            while True:
                published = await self._relay_batch(connection, publisher)
                # After a full batch there may be more rows: only take what has arrived by now.
                wait = 0.0 if published == _BATCH else _POLL_SECONDS
                async for _ in connection.notifies(timeout=wait, stop_after=1):
                    pass

    async def _try_lock(self, connection: psycopg.AsyncConnection) -> bool:
        cursor = await connection.execute(_LOCK, (self._database.service,))
        row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def _relay_batch(self, connection: psycopg.AsyncConnection, publisher: Publisher) -> int:
        if not await self._try_lock(connection):
            return 0  # another relay publishes
        published = await self._publish_rows(connection, publisher)
        # Only here: after an error the session ends, and the lock with it.
        await connection.execute(_UNLOCK, (self._database.service,))
        return published

    async def _publish_rows(self, connection: psycopg.AsyncConnection, publisher: Publisher) -> int:
        async with asyncio.timeout(_STATEMENT_SECONDS):
            cursor = connection.cursor(binary=True, row_factory=class_row(_OutboxRow))
            await cursor.execute(_SELECT, (_BATCH,))
            rows = await cursor.fetchall()
        if not rows:
            return 0
        session_ends = time.monotonic() + _SESSION_SECONDS
        for row in rows:
            if time.monotonic() >= session_ends:
                # Another relay may have sent these rows by now, and newer ones after them.
                raise TimeoutError("The session ended before all records were sent.")
            headers = [(name, value.encode("latin-1")) for name, value in row.headers]
            await publisher.send(row.topic, row.key, row.payload, headers)
        await publisher.flush()
        async with asyncio.timeout(_STATEMENT_SECONDS):
            await connection.execute(_DELETE, ([row.id for row in rows],))
        OUTBOX_PUBLISHED.labels(self._database.service).inc(len(rows))
        return len(rows)
