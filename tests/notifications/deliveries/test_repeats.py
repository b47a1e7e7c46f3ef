"""A database restored to yesterday reads the log again, and nobody is notified twice.

Real parts: Kafka, PostgreSQL, the consumers and relays of both services, a receiver over HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from services.notifications.consumers import SUBSCRIPTIONS as NOTIFICATIONS
from services.observables.consumers import SUBSCRIPTIONS as OBSERVABLES
from services.observables.sightings.service import SightingReport, report
from shared.database import Database, database
from shared.events import FeedRef
from shared.events.feeds import Indicator
from shared.events.observables import CHANGED
from shared.kafka.consumer import Consumer
from shared.kafka.history import read_since
from shared.kafka.producer import Publisher
from shared.kafka.relay import Relay
from shared.settings import Settings
from shared.stix import Observable, ObservableType, bucket
from shared.stix.ids import observable_id
from tests.observables.conftest import chunk

START = datetime.now(UTC) - timedelta(minutes=30)
_CANDIDATES = [f"10.0.{number >> 8}.{number & 255}" for number in range(1000)]
ADDRESSES = [each for each in _CANDIDATES if bucket(observable_id("ipv4-addr", each)) == 0]
"""Of one bucket, so that changes of two chunks can come in one event."""


class Backup:
    """A copy of all rows of a service's schema, its consumers' offsets included."""

    def __init__(self, own: Database) -> None:
        self._engine = own.engine
        self._schema = own.service
        self._copy = f"backup_{uuid4().hex[:8]}"
        with self._session() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {self._copy}"))
            for table in self._tables(connection):
                connection.execute(
                    sa.text(f"CREATE TABLE {self._copy}.{table} AS TABLE {self._schema}.{table}")
                )

    def restore(self) -> None:
        with self._session() as connection:
            tables = self._tables(connection)
            for table in tables:
                connection.execute(sa.text(f"TRUNCATE {self._schema}.{table} CASCADE"))
            for table in tables:
                columns = ", ".join(self._columns(connection, table))
                connection.execute(
                    sa.text(
                        f"INSERT INTO {self._schema}.{table} ({columns}) OVERRIDING SYSTEM VALUE "
                        f"SELECT {columns} FROM {self._copy}.{table}"
                    )
                )

    @contextmanager
    def _session(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            # Neither triggers nor foreign keys, as pg_restore does it.
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            yield connection

    def _tables(self, connection: sa.Connection) -> list[str]:
        # Partitioned tables have no rows of their own.
        query = (
            "SELECT relname FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace) "
            "AND relkind = 'r' ORDER BY relname"
        )
        names = connection.scalars(sa.text(query), {"schema": self._schema})
        return [f'"{name}"' for name in names if name != "alembic_version"]

    def _columns(self, connection: sa.Connection, table: str) -> list[str]:
        query = (
            "SELECT quote_ident(column_name) FROM information_schema.columns WHERE "
            "table_schema = :schema AND table_name = :table AND is_generated = 'NEVER'"
        )
        values = {"schema": self._schema, "table": table.strip('"')}
        return list(connection.scalars(sa.text(query), values))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """The consumer processes of both services, without their processes."""
    observables = database("observables")
    notifications = database("notifications")
    parts = [
        Consumer(observables, settings, OBSERVABLES).run(),
        Relay(observables, settings).run(),
        Consumer(notifications, settings, NOTIFICATIONS).run(),
    ]
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def scalar(query: str) -> Any:
    with database("observables").engine.connect() as connection:
        return connection.execute(sa.text(query)).scalar_one()


class Stack:
    """Both services, a feed's runs, and a rule's receiver."""

    def __init__(self, bench: Any, receiver: Any) -> None:
        self.bench = bench
        self.receiver = receiver
        self.settings: Settings = bench.settings
        _, self.rule, name = bench.hook(receiver, on=["new", "changed", "expired"])
        channel = bench.channel(receiver.url)
        bench.rule(channel, on=["new", "changed"], min_score=1, sources=["sighting"])
        self.feed = FeedRef(uuid4(), name, 80, kind="snapshot")
        self._runs = 0
        self._chunks = 0

    async def run_feed(self, *listed: int, gone: tuple[int, ...] = ()) -> None:
        """Publish a run as the feeds service does, in two chunks."""
        self._runs += 1
        run = UUID(int=self._runs + (self.feed.id.int >> 64 << 64))
        at = (START + timedelta(minutes=self._runs)).isoformat()
        values = [Indicator("ipv4-addr", ADDRESSES[number]) for number in listed]
        past = [Indicator("ipv4-addr", ADDRESSES[number]) for number in gone]
        chunks = [
            chunk(*values[:2], feed=self.feed, at=at, run=run, number=0),
            chunk(*values[2:], feed=self.feed, at=at, gone=past, run=run, number=1),
        ]
        # One after the other: who reads them again later reads them together, so that the changes
        # come in other events.
        async with Publisher(self.settings, "feeds") as publisher:
            for event in chunks:
                await publisher.publish(event)
                await publisher.flush()
                self._chunks += 1
                await self.settle()

    async def settle(self) -> None:
        """Wait until both services have handled the log, and everybody is notified."""
        async with asyncio.timeout(90):
            while not self._is_applied() or await self._unread():
                await asyncio.sleep(0.1)
        await asyncio.to_thread(self.bench.deliver)

    def _is_applied(self) -> bool:
        applied = scalar(
            f"SELECT count(*) FROM observables.run_chunk WHERE source_id = '{self.feed.id}'"
        )
        return applied == self._chunks and scalar("SELECT count(*) FROM observables.outbox") == 0

    async def _unread(self) -> int:
        """How many events about changes the notifications service has not handled."""
        handled = scalar(
            "SELECT coalesce(sum(last_offset + 1), 0) FROM notifications.consumer_offset "
            f"WHERE topic LIKE '%{CHANGED.name}' AND last_offset >= 0"
        )
        return await self.published() - int(handled)

    async def published(self) -> int:
        """How many events about changes were published."""
        return len([1 async for _ in read_since(self.settings, CHANGED, START)])

    def counts(self) -> list[int]:
        """Rows of what is known."""
        tables = ("observable", "assertion", "sighting", "run_chunk")
        return [scalar(f"SELECT count(*) FROM observables.{name}") for name in tables]

    def webhook_ids(self) -> list[str]:
        return [received.headers["webhook-id"] for received in self.receiver.received]

    def report_sighting(self, number: int) -> None:
        seen = Observable(ObservableType("ipv4-addr"), ADDRESSES[number])
        sighting = SightingReport(uuid4(), seen, "seen", 3, "proxy", "", START, datetime.now(UTC))
        report(database("observables"), "acme", "kim", [sighting])


@pytest.fixture
def stack(bench: Any, receiver: Any) -> Stack:
    return Stack(bench, receiver)


async def work(stack: Stack) -> None:
    """Two runs, what is new, gone and back, and a sighting: news for the receiver."""
    await stack.run_feed(1, 2, 4, 5, gone=(3,))
    stack.report_sighting(5)
    await stack.run_feed(3, 6, gone=(1,))


def test_nobody_is_notified_again_when_the_observables_database_is_restored(stack: Stack) -> None:
    backups: list[Backup] = []

    async def until_today() -> None:
        async with running(stack.settings):
            await stack.run_feed(1, 2, 3)
            backups.append(Backup(database("observables")))
            await work(stack)

    asyncio.run(until_today())
    ids = stack.webhook_ids()
    counts = stack.counts()
    assert len(ids) >= 5
    events = asyncio.run(stack.published())
    backups[0].restore()
    # The reporter sends its sighting again, with the same id: it was lost with the database.
    assert stack.counts() != counts

    async def again() -> None:
        async with running(stack.settings):
            await stack.settle()

    asyncio.run(again())
    assert asyncio.run(stack.published()) > events
    assert stack.webhook_ids() == ids
    lost_sighting = [0, 0, 1, 0]
    assert [a - b for a, b in zip(counts, stack.counts(), strict=True)] == lost_sighting


def test_a_restored_notifications_database_repeats_only_ids_that_the_receiver_knows(
    stack: Stack,
) -> None:
    backups: list[Backup] = []

    async def until_today() -> None:
        async with running(stack.settings):
            await stack.run_feed(1, 2, 3)
            backups.append(Backup(database("notifications")))
            await work(stack)

    asyncio.run(until_today())
    ids = stack.webhook_ids()
    backups[0].restore()

    async def again() -> None:
        async with running(stack.settings):
            await stack.settle()

    asyncio.run(again())
    repeated = stack.webhook_ids()[len(ids) :]
    assert len(repeated) > 0
    assert set(repeated) <= set(ids)
