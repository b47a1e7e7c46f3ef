"""The past of a topic: all events since a time, and no others."""

import asyncio
from datetime import UTC, datetime, timedelta

from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.history import read_since
from shared.kafka.producer import Publisher
from shared.settings import Settings


def recorded(number: int) -> Event[Recorded]:
    data = Recorded("kim", "looked up", str(number))
    return Event(RECORDED, data, "acme", "/tests", key=str(number % 7).encode())


async def publish(settings: Settings, *numbers: int) -> None:
    async with Publisher(settings) as publisher:
        for number in numbers:
            event = recorded(number)
            await publisher.send(RECORDED.name, event.key, event.payload(), event.headers())
        await publisher.flush()


async def read(settings: Settings, since: datetime) -> list[int]:
    return sorted([int(event.data.target) async for event in read_since(settings, RECORDED, since)])


def test_all_events_since_a_time_are_read(settings: Settings):
    async def scenario() -> tuple[list[int], list[int], list[int]]:
        await publish(settings, *range(100))
        await asyncio.sleep(0.05)
        between = datetime.now(UTC)
        await asyncio.sleep(0.05)
        await publish(settings, *range(100, 150))
        before = datetime.now(UTC) - timedelta(hours=1)
        later = datetime.now(UTC) + timedelta(hours=1)
        return (
            await read(settings, before),
            await read(settings, between),
            await read(settings, later),
        )

    whole, half, rest = asyncio.run(scenario())
    assert whole == list(range(150))
    assert half == list(range(100, 150))
    assert rest == []
