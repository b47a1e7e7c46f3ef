"""The relay publishes a service's outbox in order, and keeps what Kafka has acknowledged a while.

A crash between the acknowledgement and the note of it repeats events with the same id, and all
handlers are idempotent.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, LiteralString, NamedTuple

import psycopg
from psycopg.rows import class_row

from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.events.envelope import DEAD
from shared.kafka.relay_producer import RecordRefused, RelayProducer, refusal
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import OUTBOX_PUBLISHED, OUTBOX_REFUSED

log = get_logger(__name__)

MAX_ATTEMPTS: Final = 8
"""Refusals after which a row is parked: about two minutes, as the pauses between them double."""
_MAX_PAUSE_SECONDS: Final = 60
_BATCH: Final = 64
_POLL_SECONDS: Final = 1.0
_PACE_SECONDS: Final = 0.02
"""The least time between two batches: events of a busy service are published together."""
_STATEMENT_SECONDS: Final = 5.0
_ACKNOWLEDGE_SECONDS: Final = 30.0
_SESSION_SECONDS: Final = 12.0
"""Seconds without a statement after which the server ends a relay's session, and its lock with it:
the relay is frozen, or its connection is half-open."""
_MARGIN_SECONDS: Final = 3.0
"""So much earlier the relay itself sends nothing more, for what is still on its way to Kafka."""
_RENEWAL_SECONDS: Final = 2.0

_END_IDLE_SESSION: Final = "SELECT set_config('idle_session_timeout', %s, false)"
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('sentineliq.relay.' || %s))"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtext('sentineliq.relay.' || %s))"
_WAITING: Final = (
    "FROM outbox WHERE published_at IS NULL AND parked_at IS NULL"
    " AND (retry_at IS NULL OR retry_at <= now())"
)
_COLUMNS: Final = "SELECT id, topic, key, headers, payload"
_SELECT: Final = f"{_COLUMNS} {_WAITING} ORDER BY id LIMIT %s"
_SELECT_REFUSED: Final = (
    "SELECT id, topic, key FROM outbox WHERE retry_at > now() AND published_at IS NULL"
    " AND parked_at IS NULL AND key IS NOT NULL"
)
# What has the key of a row that waits for its next attempt waits behind it.
_SELECT_OTHERS: Final = (
    f"{_COLUMNS} {_WAITING} AND NOT EXISTS ("
    "SELECT FROM unnest(%s::bigint[], %s::text[], %s::bytea[]) AS refused (id, topic, key)"
    " WHERE refused.topic = outbox.topic AND refused.key = outbox.key AND refused.id < outbox.id"
    ") ORDER BY id LIMIT %s"
)
_DELETE: Final = "DELETE FROM outbox WHERE id = ANY(%s)"
_MARK: Final = "UPDATE outbox SET published_at = now(), retry_at = NULL WHERE id = ANY(%s)"
_REFUSE: Final = (
    "UPDATE outbox SET attempts = attempts + 1, error = %s,"
    " retry_at = now() + make_interval(secs => least(power(2, attempts), %s)),"
    " parked_at = CASE WHEN attempts + 1 >= %s THEN now() END"
    " WHERE id = ANY(%s) RETURNING parked_at IS NOT NULL"
)


class _OutboxRow(NamedTuple):
    id: int
    topic: str
    key: bytes | None
    headers: list[tuple[str, str]]
    payload: bytes


class _RefusedKey(NamedTuple):
    id: int
    topic: str
    key: bytes


class _ProducerSpoiled(Exception):  # the next producer goes on
    """A refused record leaves a gap in an idempotent producer's numbers: it is of no more use."""


class Relay:
    """Publishes a service's outbox.

    One relay publishes at a time: for each batch it takes a lock of its database session. All its
    statements run in that session, so that a relay which has lost the lock cannot go on. A relay
    that waits holds nothing. The server ends the session of one that falls silent during a batch,
    and another takes over; the one that was silent sends nothing more, since it knows when its
    session has ended. No transaction is open while records are on their way to Kafka, and no
    statement blocks the event loop.

    A record that Kafka refuses is tried again with growing pauses, and parked in the end; events
    with other keys go on meanwhile.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._keeps = settings.outbox_keep_hours > 0
        self._is_isolating = False
        self._session_ends = 0.0

    async def run(self) -> None:
        """Relay until cancelled; survives the loss of the database and of Kafka."""
        while True:
            _end_if_cancelled()
            try:
                async with await self._database.connect_async(PLATFORM) as connection:
                    await self._relay(connection)
            except _ProducerSpoiled:
                continue
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
        async with RelayProducer(
            self._settings, self._database.service, self._may_send
        ) as producer:
            while True:
                _end_if_cancelled()
                started = time.monotonic()
                published = await self._relay_batch(connection, producer)
                # After a full batch there may be more rows: only take what has arrived by now.
                wait = 0.0 if published == _BATCH else _POLL_SECONDS
                async for _ in connection.notifies(timeout=wait, stop_after=1):
                    pass
                if published < _BATCH:
                    await asyncio.sleep(started + _PACE_SECONDS - time.monotonic())

    def _may_send(self) -> bool:
        return time.monotonic() < self._session_ends

    async def _relay_batch(
        self, connection: psycopg.AsyncConnection, producer: RelayProducer
    ) -> int:
        if not await self._try_lock(connection):
            return 0  # another relay publishes
        is_done = asyncio.Event()
        keeper = asyncio.create_task(self._keep_session(connection, is_done))
        try:
            published = await self._publish_rows(connection, producer)
        finally:
            is_done.set()
            # An error of its own has closed the connection: the next statement says so.
            with suppress(psycopg.Error, TimeoutError):
                await keeper
        # Only here: after an error the session ends, and the lock with it.
        await _execute(connection, _UNLOCK, self._database.service)
        return published

    async def _try_lock(self, connection: psycopg.AsyncConnection) -> bool:
        started = time.monotonic()
        cursor = await _execute(connection, _LOCK, self._database.service)
        row = await cursor.fetchone()
        self._session_ends = started + _SESSION_SECONDS - _MARGIN_SECONDS
        return row is not None and bool(row[0])

    async def _keep_session(
        self, connection: psycopg.AsyncConnection, is_done: asyncio.Event
    ) -> None:
        """Show the server until the batch is done that this relay lives: Kafka takes its time."""
        while not is_done.is_set():
            with suppress(TimeoutError):
                # Not `wait_for`, which loses a cancellation that comes together with the event.
                async with asyncio.timeout(_RENEWAL_SECONDS):
                    await is_done.wait()
                return
            started = time.monotonic()
            await _execute(connection, "SELECT 1")
            self._session_ends = started + _SESSION_SECONDS - _MARGIN_SECONDS

    async def _publish_rows(
        self, connection: psycopg.AsyncConnection, producer: RelayProducer
    ) -> int:
        rows = await self._select(connection)
        rows = await self._without_missing_topics(connection, producer, rows)
        if not rows:
            return 0
        if self._is_isolating:
            return await self._send_each(connection, producer, rows)
        return await self._send_together(connection, producer, rows)

    async def _select(self, connection: psycopg.AsyncConnection) -> list[_OutboxRow]:
        async with asyncio.timeout(_STATEMENT_SECONDS):
            keys = connection.cursor(binary=True, row_factory=class_row(_RefusedKey))
            refused = await (await keys.execute(_SELECT_REFUSED)).fetchall()
            cursor = connection.cursor(binary=True, row_factory=class_row(_OutboxRow))
            if refused:
                columns = [list(column) for column in zip(*refused, strict=True)]
                await cursor.execute(_SELECT_OTHERS, (*columns, _BATCH))
            else:
                await cursor.execute(_SELECT, (_BATCH,))
            return await cursor.fetchall()

    async def _without_missing_topics(
        self,
        connection: psycopg.AsyncConnection,
        producer: RelayProducer,
        rows: list[_OutboxRow],
    ) -> list[_OutboxRow]:
        """The rows whose topic exists; the attempt at the others is noted."""
        for topic in sorted({row.topic for row in rows}):
            try:
                await producer.require_topic(topic)
            except RecordRefused as error:
                ids = [row.id for row in rows if row.topic == topic]
                await self._refuse(connection, ids, error.message)
                rows = [row for row in rows if row.topic != topic]
        return rows

    async def _send_together(
        self,
        connection: psycopg.AsyncConnection,
        producer: RelayProducer,
        rows: Sequence[_OutboxRow],
    ) -> int:
        """Send rows, wait for all acknowledgements, and note those that came."""
        try:
            sent = [await _send(producer, row) for row in rows]
        except RecordRefused:
            self._is_isolating = True
            raise _ProducerSpoiled from None
        await asyncio.wait(sent, timeout=_ACKNOWLEDGE_SECONDS)
        acknowledged = [row.id for row, future in zip(rows, sent, strict=True) if _is_done(future)]
        await self._note_published(connection, acknowledged)
        if len(acknowledged) == len(rows):
            producer.forget_acknowledged()
            return len(rows)
        if any(refusal(_error_of(future)) for future in sent):
            self._is_isolating = True
            raise _ProducerSpoiled
        raise Unavailable("Kafka did not acknowledge a record in time.")

    async def _send_each(
        self,
        connection: psycopg.AsyncConnection,
        producer: RelayProducer,
        rows: Sequence[_OutboxRow],
    ) -> int:
        """Send rows one by one, to find the one that Kafka refuses."""
        for row in rows:
            reason = None
            try:
                sent = await _send(producer, row)
                await asyncio.wait([sent], timeout=_ACKNOWLEDGE_SECONDS)
                reason = refusal(_error_of(sent))
            except RecordRefused as error:
                sent = None
                reason = error.message
            if reason is not None:
                await self._refuse(connection, [row.id], reason)
                raise _ProducerSpoiled
            if sent is None or not _is_done(sent):
                raise Unavailable("Kafka did not acknowledge a record in time.")
            await self._note_published(connection, [row.id])
            producer.forget_acknowledged()
        self._is_isolating = False
        return len(rows)

    async def _note_published(
        self, connection: psycopg.AsyncConnection, ids: Sequence[int]
    ) -> None:
        if not ids:
            return
        await _execute(connection, _MARK if self._keeps else _DELETE, ids)
        OUTBOX_PUBLISHED.labels(self._database.service).inc(len(ids))

    async def _refuse(
        self, connection: psycopg.AsyncConnection, ids: Sequence[int], reason: str
    ) -> None:
        """Note a refused attempt; after the last one the rows are parked."""
        cursor = await _execute(
            connection, _REFUSE, reason[:2000], _MAX_PAUSE_SECONDS, MAX_ATTEMPTS, ids
        )
        parked = sum(bool(row[0]) for row in await cursor.fetchall())
        OUTBOX_REFUSED.labels(self._database.service).inc(len(ids))
        log.warning("relay.refused", rows=len(ids), first=ids[0], parked=parked, reason=reason)


def _end_if_cancelled() -> None:
    """End a task whose cancellation got lost.

    In Python 3.11 `asyncio.wait_for`, with which producers are closed, drops a cancellation that
    arrives together with the result: https://github.com/python/cpython/issues/86296
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _execute(
    connection: psycopg.AsyncConnection, query: LiteralString, *values: object
) -> psycopg.AsyncCursor:
    """Run a statement, in a limited time: the peer of the connection may be gone."""
    async with asyncio.timeout(_STATEMENT_SECONDS):
        return await connection.execute(query, values)


async def _send(producer: RelayProducer, row: _OutboxRow) -> "asyncio.Future[object]":
    headers = [(name, value.encode("latin-1")) for name, value in row.headers]
    # A dead letter keeps what its record had, also a signature that is wrong.
    if not row.topic.endswith(DEAD):
        headers = producer.signer.sign(row.topic, row.key, row.payload, headers)
    return await producer.send(row.topic, row.key, row.payload, headers)


def _is_done(future: "asyncio.Future[object]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _error_of(future: "asyncio.Future[object]") -> BaseException | None:
    return future.exception() if future.done() and not future.cancelled() else None
