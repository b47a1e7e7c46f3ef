"""A publisher waits for its readers, and sends nothing where nobody reads."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.errors import Unavailable
from shared.events.audit import RECORDED
from shared.kafka import backpressure
from shared.kafka.backpressure import Backpressure
from shared.kafka.cluster import consumer_group
from tests.shared.kafka.conftest import Bench


def limit(bench: Bench) -> Backpressure:
    return Backpressure(bench.settings, "mitre", RECORDED.name, 10)


async def commit(bench: Bench, offset: int) -> None:
    """Commit as a consumer of the group does."""
    partition = TopicPartition(bench.topic, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bench.settings.kafka_bootstrap_servers,
        group_id=consumer_group(bench.settings, "mitre"),
        enable_auto_commit=False,
    )
    consumer.assign([partition])
    async with consumer:
        await consumer.commit({partition: offset})


def test_few_waiting_records_hold_nobody_up(bench: Bench) -> None:
    async def scenario() -> None:
        await bench.produce(*(f"r-{number}" for number in range(9)))
        async with limit(bench) as pressure, asyncio.timeout(20):
            await pressure.wait_for_readers()

    asyncio.run(scenario())


def test_nothing_is_sent_where_nobody_reads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backpressure, "_PATIENCE_SECONDS", 1.0)

    async def scenario() -> None:
        await bench.produce(*(f"r-{number}" for number in range(12)))
        async with limit(bench) as pressure:
            with pytest.raises(Unavailable, match="Nothing was sent"):
                await pressure.wait_for_readers()

    asyncio.run(scenario())


def test_a_reader_that_makes_progress_is_enough(bench: Bench) -> None:
    async def scenario() -> None:
        await bench.produce(*(f"r-{number}" for number in range(40)))
        await commit(bench, 5)
        async with limit(bench) as pressure, asyncio.timeout(20):
            waiting = asyncio.ensure_future(pressure.wait_for_readers())
            await asyncio.sleep(1)
            assert not waiting.done()
            await commit(bench, 6)
            await waiting

    asyncio.run(scenario())
