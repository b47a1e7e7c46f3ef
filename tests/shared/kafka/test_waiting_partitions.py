"""Partitions that wait hold up no other, also when there are many of them."""

import asyncio
import threading
from collections.abc import Sequence

from sqlalchemy.orm import Session

from shared.database import Database
from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.consumer import Consumer, Subscription
from tests.shared.kafka.conftest import Bench

PARTITIONS = 8
POOL_SIZE = 5
"""Ten transactions at a time: more than partitions that wait."""


def test_many_partitions_that_wait_hold_up_none(bench: Bench) -> None:
    waiting: set[int] = set()
    is_free = threading.Event()

    def store_or_wait(session: Session, events: Sequence[Event[Recorded]]) -> None:
        record = events[0].record
        assert record is not None
        if record.partition:
            waiting.add(record.partition)
            assert is_free.wait(60)
        bench.store(session, events)

    own = Database(bench.settings.database_url.get_secret_value(), "observables", POOL_SIZE)

    async def scenario() -> None:
        await bench.recreate_topic(PARTITIONS)
        consumer = asyncio.ensure_future(
            Consumer(own, bench.settings, [Subscription(RECORDED, store_or_wait)]).run()
        )
        try:
            for number in range(200):
                await bench.produce(f"r-{number}", key=str(number).encode())
                if len(waiting) == PARTITIONS - 1:
                    break
            before = len(bench.effects())
            # More than one record for the partition that does not wait.
            for number in range(200, 260):
                await bench.produce(f"r-{number}", key=str(number).encode())
            await bench.run_until(asyncio.sleep(60), lambda: len(bench.effects()) > before)
            assert len(waiting) == PARTITIONS - 1
        finally:
            is_free.set()
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)

    asyncio.run(scenario())
    own.close()
