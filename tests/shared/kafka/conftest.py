"""What the tests of consumers share: a table of effects, a handler that writes it, a loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database, database
from shared.errors import InvalidInput
from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.cluster import client_options
from shared.kafka.producer import Publisher
from shared.kafka.topics import topic_name
from shared.settings import Settings

_EFFECTS = "CREATE TABLE IF NOT EXISTS observables.applied (target text, ordinal serial)"


class Bench:
    """A service's database and topics, and a handler whose effects can be counted."""

    def __init__(self, settings: Settings, own: Database) -> None:
        self.settings = settings
        self.database = own
        self.topic = topic_name(settings, RECORDED.name)

    def store(self, session: Session, events: Sequence[Event[Recorded]]) -> None:
        """The handler."""
        for event in events:
            if event.data.target.startswith("poison"):
                raise InvalidInput("this event cannot be handled")
            query = sa.text("INSERT INTO applied (target) VALUES (:target)")
            session.execute(query, {"target": event.data.target})

    async def produce(self, *targets: str, key: bytes = b"acme") -> None:
        async with Publisher(self.settings, "observables") as publisher:
            for target in targets:
                data = Recorded("kim", "feeds.create", target)
                await publisher.publish(Event(RECORDED, data, "acme", "/test", key))
            await publisher.flush()

    def rows(self, query: str, **values: Any) -> list[Any]:
        with self.database.transaction(PLATFORM) as session:
            return list(session.execute(sa.text(query), values))

    def execute(self, statement: str, **values: Any) -> None:
        with self.database.transaction(PLATFORM) as session:
            session.execute(sa.text(statement), values)

    def effects(self) -> list[str]:
        return [row.target for row in self.rows("SELECT target FROM applied ORDER BY ordinal")]

    async def run_until(self, work: Awaitable[None], is_done: Callable[[], bool]) -> None:
        task = asyncio.ensure_future(work)
        try:
            async with asyncio.timeout(40):
                while not is_done():
                    assert not task.done(), task
                    await asyncio.sleep(0.05)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def recreate_topic(self, partitions: int = 1) -> None:
        """Delete the topic and make it anew."""
        client = AIOKafkaAdminClient(**client_options(self.settings))
        await client.start()
        try:
            if self.topic in await client.list_topics():
                await client.delete_topics([self.topic])
                async with asyncio.timeout(20):
                    while self.topic in await client.list_topics():
                        await asyncio.sleep(0.1)
            await client.create_topics([NewTopic(self.topic, partitions, 1)])
            async with asyncio.timeout(20):
                while self.topic not in await client.list_topics():
                    await asyncio.sleep(0.1)
        finally:
            await client.close()

    async def delete_records(self, before: int) -> None:
        """Delete a partition's first records, as retention does."""
        client = AIOKafkaAdminClient(**client_options(self.settings))
        await client.start()
        try:
            await client.delete_records({TopicPartition(self.topic, 0): RecordsToDelete(before)})
        finally:
            await client.close()


@pytest.fixture
def bench(settings: Settings) -> Bench:
    own = database("observables")
    with own.engine.begin() as connection:
        connection.execute(sa.text(_EFFECTS))
        connection.execute(sa.text("GRANT ALL ON observables.applied TO sentineliq_observables"))
        connection.execute(
            sa.text(
                "GRANT ALL ON SEQUENCE observables.applied_ordinal_seq TO sentineliq_observables"
            )
        )
        connection.execute(sa.text("TRUNCATE observables.applied, observables.consumer_offset"))
        connection.execute(sa.text("TRUNCATE observables.log_gap, observables.outbox"))
    fresh = Bench(settings, own)
    asyncio.run(fresh.recreate_topic())
    return fresh
