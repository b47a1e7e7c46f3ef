"""Clients of Kafka leave no connection open, whenever they fail or are cancelled."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError

from shared.events.audit import RECORDED
from shared.kafka.clients import close_client, running
from shared.kafka.cluster import client_options
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.producer import Publisher
from shared.settings import Settings
from tests.shared.kafka.conftest import Bench

STEPS = 90
"""More turns of the loop than any of these clients needs to start."""
Client = AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient


_of_others: list[AIOKafkaConnection] = []
"""Open before the test began: other tests of this process may leave clients at work."""


def open_connections() -> list[AIOKafkaConnection]:
    """Connections that this test opened and that nobody has closed."""
    return [
        connection
        for connection in gc.get_objects()
        if isinstance(connection, AIOKafkaConnection)
        and connection.connected()
        and _is_own(connection)
    ]


def _is_own(connection: AIOKafkaConnection) -> bool:
    return not any(connection is other for other in _of_others)


@pytest.fixture(autouse=True)
def _leave_out_connections_of_others() -> Iterator[None]:
    _of_others[:] = open_connections()
    yield
    _of_others.clear()


async def cancel_after(turns: int, work: Awaitable[Any]) -> None:
    """Cancel work when the loop has turned so often."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def make_consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(**client_options(settings))


def make_producer(settings: Settings) -> AIOKafkaProducer:
    return AIOKafkaProducer(**client_options(settings), enable_idempotence=True)


def make_administrator(settings: Settings) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(**client_options(settings))


MAKERS = pytest.mark.parametrize("make", [make_consumer, make_producer, make_administrator])


@MAKERS
def test_a_start_that_is_cancelled_leaves_nothing_open(
    settings: Settings, make: Callable[[Settings], Any]
) -> None:
    async def start() -> None:
        async with running(make(settings)):
            await asyncio.sleep(60)

    async def scenario() -> None:
        for step in range(STEPS):
            await cancel_after(step, start())
            assert open_connections() == [], step
            # Time passes in the broker, too: turns of the loop alone do not get far.
            await asyncio.sleep(0.0005 * step)

    asyncio.run(scenario())


@MAKERS
def test_a_cancelled_end_closes_everything(
    settings: Settings, make: Callable[[Settings], Any]
) -> None:
    async def scenario() -> None:
        for step in range(1, 7):
            client = make(settings)
            await client.start()
            await cancel_after(step, close_client(client))
            assert open_connections() == [], step
            await close_client(client)

    asyncio.run(scenario())


@MAKERS
def test_a_start_without_a_broker_leaves_nothing_open(
    settings: Settings, make: Callable[[Settings], Any]
) -> None:
    client_of_nobody = {"kafka_bootstrap_servers": "127.0.0.1:1"}

    async def scenario() -> None:
        client = make(settings.model_copy(update=client_of_nobody))
        with pytest.raises(KafkaError):
            async with running(client):
                pass

    asyncio.run(scenario())
    gc.collect()  # an unclosed client would warn, which is an error here


def test_who_still_asks_a_closed_client_opens_no_connection(
    settings: Settings, bench: Bench
) -> None:
    async def scenario() -> None:
        consumer = make_consumer(settings)
        async with running(consumer):
            await consumer.end_offsets([TopicPartition(bench.topic, 0)])
        with pytest.raises(KafkaError):
            async with asyncio.timeout(30):
                await consumer._client.send(1, None)
        assert open_connections() == []

    asyncio.run(scenario())


def test_a_consumer_that_is_cancelled_at_any_time_leaves_nothing_open(bench: Bench) -> None:
    async def scenario() -> None:
        await bench.produce(*(f"r-{number}" for number in range(20)))
        for tenths in (0, 1, 3, 5, 8, 13):
            consumer = Consumer(
                bench.database, bench.settings, [Subscription(RECORDED, bench.store)]
            )
            task = asyncio.ensure_future(consumer.run())
            await asyncio.sleep(tenths / 10)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert open_connections() == [], tenths

    asyncio.run(scenario())


def test_a_publisher_that_is_cancelled_leaves_nothing_open(settings: Settings) -> None:
    async def publish() -> None:
        async with Publisher(settings, "observables"):
            await asyncio.sleep(60)

    async def scenario() -> None:
        for step in range(0, STEPS, 3):
            await cancel_after(step, publish())
            assert open_connections() == [], step

    asyncio.run(scenario())
