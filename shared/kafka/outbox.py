"""The transactional outbox: events are rows of the transaction that caused them, until the log has them."""

import asyncio
from collections.abc import Iterable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database
from shared.errors import SentinelIQError, Unavailable
from shared.events import ConsumedRecord, Event, Headers, now
from shared.events.audit import RECORDED, Recorded
from shared.kafka.producer import Publisher
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import OUTBOX_PUBLISHED

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
_BATCH = 64
_ONE_RELAY = sa.text("SELECT pg_try_advisory_xact_lock(hashtext('sentineliq.relay.' || :service))")


def publish(session: Session, events: Iterable[Event[Any]]) -> None:
    """Put events into the outbox of the transaction at hand: they are published if, and only if, it commits."""
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
    """Tell who did what to what (`audit.recorded.v1`), if the transaction at hand commits; never a secret."""
    said = Recorded(actor, action, str(target), details)
    publish(session, [Event(RECORDED, said, tenant, f"/services/{service}", tenant.encode())])


def dead_letter(
    session: Session, record: ConsumedRecord, reason: str, *, tenant: str, topic: str
) -> None:
    """Send a record nobody can handle to its dead-letter topic: the original bytes and headers, with the reason."""
    headers = [
        *record.headers,
        ("dead-reason", reason[:2000].encode()),
        ("dead-at", now().encode()),
        ("dead-origin", f"{record.topic}/{record.partition}/{record.offset}".encode()),
    ]
    session.execute(
        sa.insert(OUTBOX), [_row(f"{topic}.dead", record.key, record.value, headers, tenant)]
    )


def _row(
    topic: str, key: bytes | None, payload: bytes, headers: Headers, tenant: str
) -> dict[str, Any]:
    # Headers are bytes and a dead letter's may be any bytes: latin-1 keeps each of them in JSON.
    text = [[name, value.decode("latin-1")] for name, value in headers]
    return {"topic": topic, "key": key, "headers": text, "payload": payload, "tenant": tenant}


class Relay:
    """Publishes a service's outbox in order and deletes what the log acknowledged; one relay works at a time.

    A crash between the two repeats events with the same id, which every handler takes in its stride.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled; survives a lost database and a lost log."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._publish())

    async def _publish(self) -> None:
        while True:
            try:
                async with Publisher(self._settings) as publisher:
                    while True:
                        self._wake.clear()
                        if await self._relay_batch(publisher) < _BATCH:
                            await _wait(self._wake, seconds=1.0)
            except Unavailable as error:
                # The producer may be past saving (a fatal idempotence error): the next round makes a new one.
                log.warning("relay.waiting", reason=error.message)
                await asyncio.sleep(1.0)

    async def _relay_batch(self, publisher: Publisher) -> int:
        with self._database.transaction(PLATFORM) as session:
            if not session.scalar(_ONE_RELAY, {"service": self._database.service}):
                return 0
            rows = session.execute(sa.select(OUTBOX).order_by(OUTBOX.c.id).limit(_BATCH)).all()
            for row in rows:
                headers = [(name, value.encode("latin-1")) for name, value in row.headers]
                await publisher.send(row.topic, row.key, row.payload, headers)
            await publisher.flush()
            if rows:
                session.execute(sa.delete(OUTBOX).where(OUTBOX.c.id.in_([row.id for row in rows])))
        OUTBOX_PUBLISHED.labels(self._database.service).inc(len(rows))
        return len(rows)

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except (psycopg.Error, SentinelIQError) as error:
                log.warning("relay.deaf", reason=str(error))
                await asyncio.sleep(1.0)

    async def _hear(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._database.url, autocommit=True, connect_timeout=5
        )
        async with connection:
            await connection.execute(f"LISTEN {self._database.service}_outbox")
            self._wake.set()
            async for _ in connection.notifies():
                self._wake.set()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
