"""A publisher waits for its readers, and sends nothing where nobody reads."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.errors import Unavailable
from shared.events.audit import RECORDED
from shared.kafka import backpressure
from shared.kafka.backpressure import Backpressure
from shared.kafka.cluster import client_options, consumer_group
from shared.kafka.consumer import Consumer, Subscription
from tests.shared.kafka.conftest import Bench


def limit(bench: Bench) -> Backpressure:
    return Backpressure(bench.settings, "mitre", RECORDED.name, 10)


async def commit(bench: Bench, offset: int) -> None:
    """Commit as a consumer of the group does."""
    partition = TopicPartition(bench.topic, 0)
    consumer = AIOKafkaConsumer(
        **client_options(bench.settings),
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


def test_a_reader_that_was_killed_before_its_hint_holds_nobody_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is published meanwhile, so that no later record brings a hint."""
    monkeypatch.setattr(backpressure, "_PATIENCE_SECONDS", 10.0)

    async def keep_silent(*_: object) -> None:
        """The process ends between the transaction and the hint."""

    def consume() -> Consumer:
        return Consumer(bench.database, bench.settings, [Subscription(RECORDED, bench.store)])

    async def scenario() -> None:
        await bench.produce(*(f"r-{number:02}" for number in range(40)))
        with monkeypatch.context() as patch:
            patch.setattr("shared.kafka.consumer._commit_hint", keep_silent)
            await bench.run_until(consume().run(), lambda: len(bench.effects()) == 40)
        successor = asyncio.ensure_future(consume().run())
        pressure = Backpressure(bench.settings, "observables", RECORDED.name, 10)
        async with pressure:
            waiting = asyncio.ensure_future(pressure.wait_for_readers())
            await bench.run_until(successor, waiting.done)
            await waiting

    asyncio.run(scenario())
