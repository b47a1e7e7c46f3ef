"""The pace of a partition: a single event waits for nobody, a stream is taken in pieces."""

import asyncio
import time
from collections.abc import Sequence

from sqlalchemy.orm import Session

from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.cluster import administrator, consumer_group
from shared.kafka.consumer import Consumer, Subscription
from tests.shared.kafka.conftest import Bench


def test_a_paced_partition_takes_a_single_event_at_once_and_a_stream_in_pieces(
    bench: Bench,
) -> None:
    """The events of one pace are one transaction, and Kafka hears of the last soon after."""
    sizes: list[int] = []

    def note(session: Session, events: Sequence[Event[Recorded]]) -> None:
        sizes.append(len(events))
        bench.store(session, events)

    async def committed() -> int:
        async with administrator(bench.settings) as admin:
            group = consumer_group(bench.settings, "observables")
            offsets = await admin.list_consumer_group_offsets(group)
        return sum(each.offset for place, each in offsets.items() if place.topic == bench.topic)

    async def scenario() -> None:
        running = asyncio.ensure_future(
            Consumer(bench.database, bench.settings, [Subscription(RECORDED, note, pace=1.0)]).run()
        )
        await bench.produce("r-0")
        await bench.run_until(asyncio.shield(running), lambda: len(bench.effects()) == 1)
        started = time.monotonic()
        for number in range(1, 7):
            await bench.produce(f"r-{number}")
        if time.monotonic() - started < 0.8:
            assert len(sizes) == 1, "the stream waits for its pace"
        await bench.run_until(asyncio.shield(running), lambda: len(bench.effects()) == 7)
        async with asyncio.timeout(5):
            while await committed() < 7:
                await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
    assert sizes[0] == 1
    assert sum(sizes) == 7
    assert len(sizes) < 7
