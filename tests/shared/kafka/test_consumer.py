"""The promise: a handler is one transaction; no event is lost, none takes effect twice."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError
from psycopg import sql
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database, database, driver_connection
from shared.errors import InvalidInput, Unavailable
from shared.events import ConsumedRecord, Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.batch_handler import BatchHandler
from shared.kafka.cluster import client_options
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.offsets import (
    OffsetRow,
    PartitionKey,
    StoredOffset,
    offset_in_other_cluster,
    record_digest,
    stored_offset,
)
from shared.kafka.producer import Publisher
from shared.kafka.relay import Relay
from shared.kafka.topics import topic_name
from shared.settings import Settings
from tests.signed_events import sign_headers, signed_record

EFFECTS = "CREATE TABLE IF NOT EXISTS observables.effect (tenant text, target text)"


@pytest.fixture(scope="module")
def own(settings: Settings) -> Database:
    own = database("observables")
    with own.engine.begin() as connection:
        connection.execute(sa.text(EFFECTS))
        connection.execute(sa.text("GRANT ALL ON observables.effect TO sentineliq_observables"))
    return own


def recorded(target: str, tenant: str = "acme") -> Event[Recorded]:
    return Event(
        RECORDED, Recorded("kim", "feeds.create", target), tenant, "/test", key=tenant.encode()
    )


async def produce(settings: Settings, *events: Event[Any]) -> None:
    async with Publisher(settings, "observables") as publisher:
        for event in events:
            await publisher.publish(event)
        await publisher.flush()


def store(session: Session, events: Sequence[Event[Recorded]]) -> None:
    for event in events:
        if event.data.target.endswith("-poison"):
            raise InvalidInput("this event cannot be handled")
        session.execute(
            sa.text("INSERT INTO effect VALUES (:tenant, :target)"),
            {"tenant": event.tenant, "target": event.data.target},
        )


def effects(own: Database, prefix: str) -> list[str]:
    with own.transaction(PLATFORM) as session:
        query = sa.text("SELECT target FROM effect WHERE target LIKE :prefix ORDER BY target")
        return list(session.scalars(query, {"prefix": f"{prefix}%"}))


async def eventually(check: Callable[[], bool], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.05)


async def run_until(work: Awaitable[None], is_done: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(work)
    try:
        await eventually(lambda: is_done() or task.done())
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_each_event_takes_effect_once_and_is_not_handled_again_after_a_restart(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> None:
        await produce(settings, *(recorded(f"once-{number:03}") for number in range(50)))
        for _ in range(2):
            consumer = Consumer(own, settings, [Subscription(RECORDED, store)])
            await run_until(consumer.run(), lambda: len(effects(own, "once-")) >= 50)
        # A consumer that lost its position in Kafka, or a zombie, reads old records again: the
        # offset row fences it off.
        await produce(settings, recorded("once-050"))
        await run_until(
            Consumer(own, settings, [Subscription(RECORDED, store)]).run(),
            lambda: len(effects(own, "once-")) == 51,
        )

    asyncio.run(scenario())
    assert effects(own, "once-") == [f"once-{number:03}" for number in range(51)]


def test_an_event_that_cannot_be_handled_is_dead_lettered_and_the_others_go_on(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> dict[str, bytes]:
        async with Publisher(settings, "observables") as publisher:
            value = b"{not json"
            headers = recorded("x").headers()
            signed = sign_headers(settings, RECORDED.name, b"acme", value, headers)
            await publisher.send(RECORDED.name, b"acme", value, signed)
            await publisher.flush()
        await produce(
            settings, recorded("poison-a"), recorded("poison-b-poison"), recorded("poison-c")
        )
        consumer = Consumer(own, settings, [Subscription(RECORDED, store)])
        await run_until(consumer.run(), lambda: len(effects(own, "poison-")) == 2)
        relay = asyncio.ensure_future(Relay(own, settings).run())
        reader = AIOKafkaConsumer(
            topic_name(settings, RECORDED.dead),
            **client_options(settings),
            auto_offset_reset="earliest",
        )
        async with reader:
            first, second = [await asyncio.wait_for(reader.getone(), 15) for _ in range(2)]
        relay.cancel()
        with suppress(asyncio.CancelledError):
            await relay
        assert first.value == b"{not json"
        assert b"poison-b-poison" in second.value
        return {**dict(second.headers), "first": dict(first.headers)["dead-reason"]}

    headers = asyncio.run(scenario())
    assert headers["dead-reason"] == b"InvalidInput: this event cannot be handled"
    assert b"does not fit audit.recorded.v1" in headers["first"]
    assert headers["ce_tenant"] == b"acme"


def test_records_of_any_bytes_become_dead_letters_and_no_consumer_stops(
    own: Database, settings: Settings
) -> None:
    good = dict(recorded("rotten-good").headers())
    payload = recorded("rotten-good").payload()
    # As large as the topic takes: with the reason the letter is larger.
    largest = os.urandom(1_048_576 - 4096)
    rotten: list[tuple[bytes, dict[str, bytes | None]]] = [
        (b'{"actor": "\xff"}', {}),
        (b"[" * 100_000, {}),
        (payload, {"ce_id": None}),
        (payload, {"ce_tenant": b"*"}),
        (payload, {"ce_tenant": b"a\x00b"}),
        (payload, {"ce_source": b"\xff"}),
        (payload.replace(b"rotten-good", b"rotten-\\u0000"), {}),
        (largest, {}),
    ]

    async def scenario() -> list[Any]:
        async with Publisher(settings, "observables") as publisher:
            for value, changed in rotten:
                headers: Any = list({**good, **changed}.items())
                await publisher.send(RECORDED.name, b"acme", value, headers)
            await publisher.publish(recorded("rotten-good"))
            await publisher.flush()
        consumer = Consumer(own, settings, [Subscription(RECORDED, store)])
        await run_until(consumer.run(), lambda: effects(own, "rotten-") == ["rotten-good"])
        assert effects(own, "rotten-") == ["rotten-good"]
        reader = AIOKafkaConsumer(
            topic_name(settings, RECORDED.dead),
            **client_options(settings),
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4_000_000,
        )
        relay = asyncio.ensure_future(Relay(own, settings).run())
        letters: list[Any] = []
        async with reader, asyncio.timeout(30):
            while len(letters) < len(rotten):
                letter = await reader.getone()
                if letter.value in [value for value, _ in rotten]:
                    letters.append(letter)
        relay.cancel()
        with suppress(asyncio.CancelledError):
            await relay
        return letters

    letters = asyncio.run(scenario())
    assert sorted(letter.value for letter in letters) == sorted(value for value, _ in rotten)
    assert dict(letters[4].headers)["ce_tenant"] == b"a\x00b"


def test_a_batch_that_was_applied_before_changes_nothing(own: Database, settings: Settings) -> None:
    """A consumer that was frozen still has records in its memory, and a place that was right."""
    key = PartitionKey("cluster", "zombies", "audit.recorded.v1", 0)
    batch = [signed_record(settings, recorded(f"zombie-{number}"), number) for number in range(4)]
    handler = BatchHandler(own, settings, Subscription(RECORDED, store))
    handler.commit(key, batch[:3], 0)
    handler.commit(key, batch[:2], 0)
    handler.commit(key, batch, 0)
    assert effects(own, "zombie-") == [f"zombie-{number}" for number in range(4)]
    stored = stored_offset(own, key)
    assert stored is not None
    assert stored.last == 3


def test_a_database_that_comes_back_loses_nothing(own: Database, settings: Settings) -> None:
    failures = iter([Unavailable("gone"), Unavailable("still gone")])

    def flaky(session: Session, events: Sequence[Event[Recorded]]) -> None:
        store(session, events)
        for error in failures:
            raise error

    async def scenario() -> None:
        await produce(settings, recorded("flaky-1"), recorded("flaky-2"))
        consumer = Consumer(own, settings, [Subscription(RECORDED, flaky)])
        await run_until(consumer.run(), lambda: len(effects(own, "flaky-")) == 2)

    asyncio.run(scenario())
    assert effects(own, "flaky-") == ["flaky-1", "flaky-2"]


@pytest.mark.parametrize(
    "error",
    [
        *("deadlock_detected", "serialization_failure", "lock_not_available", "disk_full"),
        *("read_only_sql_transaction", "undefined_column", "not_null_violation"),
    ],
)
def test_what_the_database_aborts_in_bulk_is_retried_and_not_dead_lettered(
    own: Database, settings: Settings, error: str
) -> None:
    once = iter([sql.SQL("DO $$ BEGIN RAISE {}; END $$").format(sql.SQL(error))])

    def in_bulk(session: Session, events: Sequence[Event[Recorded]]) -> None:
        store(session, events)
        for failing in once:
            driver_connection(session).execute(failing)

    async def scenario() -> None:
        await produce(settings, recorded(f"{error}-1"), recorded(f"{error}-2"))
        consumer = Consumer(own, settings, [Subscription(RECORDED, in_bulk)])
        await run_until(consumer.run(), lambda: len(effects(own, error)) == 2)

    asyncio.run(scenario())
    assert effects(own, error) == [f"{error}-1", f"{error}-2"]


def test_a_partition_that_waits_holds_no_other(own: Database, settings: Settings) -> None:
    is_free = threading.Event()

    def store_or_wait(session: Session, events: Sequence[Event[Recorded]]) -> None:
        if any(event.data.target.startswith("waits-") for event in events):
            assert is_free.wait(40)
        store(session, events)

    async def scenario() -> None:
        waiting, passing = await tenants_of_two_partitions(settings)
        consumer = asyncio.ensure_future(
            Consumer(own, settings, [Subscription(RECORDED, store_or_wait)]).run()
        )
        try:
            await produce(settings, recorded("waits-1", waiting), recorded("passes-1", passing))
            await eventually(lambda: effects(own, "passes-") == ["passes-1"])
            # What comes later needs another poll, which must not wait for the other partition.
            await produce(settings, recorded("waits-2", waiting), recorded("passes-2", passing))
            await eventually(lambda: effects(own, "passes-") == ["passes-1", "passes-2"])
            assert effects(own, "waits-") == []
        finally:
            is_free.set()
        await run_until(consumer, lambda: effects(own, "waits-") == ["waits-1", "waits-2"])

    asyncio.run(scenario())


async def tenants_of_two_partitions(settings: Settings) -> tuple[str, str]:
    """Two tenants whose events go to different partitions."""
    by_partition: dict[int, str] = {}
    async with Publisher(settings, "observables") as publisher:
        for number in range(100):
            event = recorded("partition", f"tenant-{number}")
            sent = await publisher.publish(event)
            by_partition.setdefault((await sent).partition, event.tenant)
            if len(by_partition) == 2:
                break
    first, second = by_partition.values()
    return first, second


def test_records_that_were_read_are_applied_when_kafka_refuses_a_hint(
    own: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([CommitFailedError("the group has rebalanced")])
    commit = AIOKafkaConsumer.commit

    async def commit_or_refuse(consumer: AIOKafkaConsumer, positions: Any) -> None:
        if "hint-0" in effects(own, "hint-"):
            for error in refusals:
                raise error
        await commit(consumer, positions)

    # Each record is a batch of its own; the refusal comes after the first of several.
    monkeypatch.setattr("shared.kafka.consumer._BATCH_BYTES", 1)

    async def scenario() -> None:
        await produce(settings, *(recorded(f"hint-{number}") for number in range(5)))
        monkeypatch.setattr(AIOKafkaConsumer, "commit", commit_or_refuse)
        consumer = asyncio.ensure_future(
            Consumer(own, settings, [Subscription(RECORDED, store)]).run()
        )
        await eventually(lambda: "hint-0" in effects(own, "hint-"))
        await produce(settings, recorded("hint-5"))
        await run_until(consumer, lambda: "hint-5" in effects(own, "hint-"))

    asyncio.run(scenario())
    assert effects(own, "hint-") == [f"hint-{number}" for number in range(6)]


def test_a_consumer_without_a_partition_takes_over_those_of_another(
    own: Database, settings: Settings
) -> None:
    async def scenario() -> None:
        consumers = [
            asyncio.ensure_future(Consumer(own, settings, [Subscription(RECORDED, store)]).run())
            for _ in range(3)
        ]
        await produce(settings, recorded("stand-by-1"))
        await eventually(lambda: effects(own, "stand-by-") == ["stand-by-1"], 30)
        # One of three has none of the two partitions.
        for consumer in consumers[:2]:
            consumer.cancel()
        await produce(settings, recorded("stand-by-2"), recorded("stand-by-3", "globex"))
        await run_until(consumers[2], lambda: len(effects(own, "stand-by-")) == 3)

    asyncio.run(scenario())
    assert effects(own, "stand-by-") == [f"stand-by-{number}" for number in (1, 2, 3)]


def test_offsets_belong_to_one_cluster(own: Database) -> None:
    first = PartitionKey("cluster-a", "group", "topic", 0)
    second = PartitionKey("cluster-b", "group", "topic", 0)
    record = ConsumedRecord("topic", 0, 41, None, b"{}", [("ce_id", b"a\0")], 1_000)
    with own.transaction(PLATFORM) as session:
        OffsetRow(session, first).advance(record)
    with own.transaction(PLATFORM) as session:
        assert OffsetRow(session, first).last == 41
        assert OffsetRow(session, second).last == -1
    assert stored_offset(own, first) == StoredOffset(41, 1_000, record_digest(record))
    assert offset_in_other_cluster(own, second) == StoredOffset(41, 1_000)
