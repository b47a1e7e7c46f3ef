"""The promise: a handler is one transaction, nothing lost, nothing twice; poison goes aside with its reason."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer
from psycopg import sql
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database, database, driver_connection
from shared.errors import InvalidInput, Unavailable
from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka import offsets
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.dlq_limit import DlqLimitExceeded
from shared.kafka.outbox import Relay, publish
from shared.kafka.producer import Publisher
from shared.kafka.topics import topic_name
from shared.settings import Settings

EFFECTS = "CREATE TABLE IF NOT EXISTS observables.effect (tenant text, target text)"


@pytest.fixture(scope="module")
def own(settings: Settings) -> Database:
    found = database("observables")
    with found.engine.begin() as connection:
        connection.execute(sa.text(EFFECTS))
        connection.execute(sa.text("GRANT ALL ON observables.effect TO sentineliq_observables"))
    return found


def said(target: str, tenant: str = "acme") -> Event[Recorded]:
    return Event(
        RECORDED, Recorded("kim", "feeds.create", target), tenant, "/test", key=tenant.encode()
    )


async def produce(settings: Settings, *events: Event[Any]) -> None:
    async with Publisher(settings) as publisher:
        for event in events:
            await publisher.publish(event)
        await publisher.flush()


def store(session: Session, events: Sequence[Event[Recorded]]) -> None:
    for event in events:
        if event.data.target.endswith("-poison"):
            raise InvalidInput("this one cannot be handled")
        session.execute(
            sa.text("INSERT INTO effect VALUES (:tenant, :target)"),
            {"tenant": event.tenant, "target": event.data.target},
        )


def effects(own: Database, prefix: str) -> list[str]:
    with own.transaction(PLATFORM) as session:
        query = sa.text("SELECT target FROM effect WHERE target LIKE :prefix ORDER BY target")
        return list(session.scalars(query, {"prefix": f"{prefix}%"}))


async def eventually(check: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.05)


async def running(work: Awaitable[None], until: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(work)
    try:
        await eventually(lambda: until() or task.done())
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_each_event_takes_effect_once_and_is_not_handled_again_after_a_restart(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> None:
        await produce(settings, *(said(f"once-{number:03}") for number in range(50)))
        for _ in range(2):
            consumer = Consumer(own, settings, [Subscription(RECORDED, store)])
            await running(consumer.run(), lambda: len(effects(own, "once-")) >= 50)
        # A consumer that lost its position in Kafka, or a zombie, gets old records again: the row says no.
        await produce(settings, said("once-050"))
        await running(
            Consumer(own, settings, [Subscription(RECORDED, store)]).run(),
            lambda: len(effects(own, "once-")) == 51,
        )

    asyncio.run(scenario())
    assert effects(own, "once-") == [f"once-{number:03}" for number in range(51)]


def test_a_poisoned_event_is_buried_with_its_reason_and_the_others_go_on(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> dict[str, bytes]:
        async with Publisher(settings) as publisher:
            await publisher.send(RECORDED.name, b"acme", b"{not json", said("x").headers())
            await publisher.flush()
        await produce(settings, said("buried-a"), said("buried-b-poison"), said("buried-c"))
        consumer = Consumer(own, settings, [Subscription(RECORDED, store)])
        await running(consumer.run(), lambda: len(effects(own, "buried-")) == 2)
        relay = asyncio.ensure_future(Relay(own, settings).run())
        reader = AIOKafkaConsumer(
            topic_name(settings, RECORDED.dead),
            bootstrap_servers=settings.kafka_bootstrap_servers,
            auto_offset_reset="earliest",
        )
        async with reader:
            first, second = [await asyncio.wait_for(reader.getone(), 15) for _ in range(2)]
        relay.cancel()
        with suppress(asyncio.CancelledError):
            await relay
        assert first.value == b"{not json"
        assert b"buried-b-poison" in second.value
        return {**dict(second.headers), "first": dict(first.headers)["dead-reason"]}

    headers = asyncio.run(scenario())
    assert headers["dead-reason"] == b"InvalidInput: this one cannot be handled"
    assert b"does not fit audit.recorded.v1" in headers["first"]
    assert headers["ce_tenant"] == b"acme"


def test_a_database_that_comes_back_loses_nothing(own: Database, settings: Settings) -> None:
    failures = iter([Unavailable("gone"), Unavailable("still gone")])

    def flaky(session: Session, events: Sequence[Event[Recorded]]) -> None:
        store(session, events)
        for error in failures:
            raise error

    async def scenario() -> None:
        await produce(settings, said("flaky-1"), said("flaky-2"))
        consumer = Consumer(own, settings, [Subscription(RECORDED, flaky)])
        await running(consumer.run(), lambda: len(effects(own, "flaky-")) == 2)

    asyncio.run(scenario())
    assert effects(own, "flaky-") == ["flaky-1", "flaky-2"]


@pytest.mark.parametrize(
    "error", ["deadlock_detected", "serialization_failure", "lock_not_available"]
)
def test_what_the_database_gives_up_in_bulk_is_tried_again_and_not_buried(
    own: Database, settings: Settings, error: str
) -> None:
    once = iter([sql.SQL("DO $$ BEGIN RAISE {}; END $$").format(sql.SQL(error))])

    def in_bulk(session: Session, events: Sequence[Event[Recorded]]) -> None:
        store(session, events)
        for failing in once:
            driver_connection(session).execute(failing)

    async def scenario() -> None:
        await produce(settings, said(f"{error}-1"), said(f"{error}-2"))
        consumer = Consumer(own, settings, [Subscription(RECORDED, in_bulk)])
        await running(consumer.run(), lambda: len(effects(own, error)) == 2)

    asyncio.run(scenario())
    assert effects(own, error) == [f"{error}-1", f"{error}-2"]


def test_a_flood_of_poison_stops_the_consumer_instead_of_burying_it_all(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> None:
        await produce(
            settings, *(said(f"flood-{number}-poison", tenant="globex") for number in range(150))
        )
        await asyncio.wait_for(Consumer(own, settings, [Subscription(RECORDED, store)]).run(), 20)

    with pytest.raises(DlqLimitExceeded, match="nothing was lost"):
        asyncio.run(scenario())


def test_offsets_belong_to_one_cluster(own: Database, settings: Settings) -> None:
    with own.transaction(PLATFORM) as session:
        offsets.OffsetRow(session, "cluster-a", "group", "topic", 0).advance(41)
    with own.transaction(PLATFORM) as session:
        assert offsets.OffsetRow(session, "cluster-a", "group", "topic", 0).last == 41
        assert offsets.OffsetRow(session, "cluster-b", "group", "topic", 0).last == -1
    assert offsets.stored_offsets(own, "cluster-a", "group") == {("topic", 0): 41}


def test_the_outbox_publishes_what_was_committed_and_nothing_else(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> list[bytes]:
        with own.transaction("acme") as session:
            publish(session, [said("outbox-1"), said("outbox-2")])
        with suppress(RuntimeError), own.transaction("acme") as session:
            publish(session, [said("outbox-never")])
            raise RuntimeError
        with own.transaction("acme") as session:
            publish(session, [said("outbox-3")])
        seen: list[bytes] = []
        reader = AIOKafkaConsumer(
            topic_name(settings, RECORDED.name),
            bootstrap_servers=settings.kafka_bootstrap_servers,
            auto_offset_reset="earliest",
        )
        relay = asyncio.ensure_future(Relay(own, settings).run())
        async with reader, asyncio.timeout(15):
            while len(seen) < 3:
                value = (await reader.getone()).value
                if b"outbox-" in value:
                    seen.append(value)
        relay.cancel()
        with suppress(asyncio.CancelledError):
            await relay
        return seen

    seen = asyncio.run(scenario())
    assert [f"outbox-{number}".encode() in value for number, value in enumerate(seen, 1)] == [
        True,
        True,
        True,
    ]
    with own.transaction(PLATFORM) as session:
        assert (
            session.scalar(
                sa.text("SELECT count(*) FROM outbox WHERE topic = :topic"),
                {"topic": RECORDED.name},
            )
            == 0
        )
