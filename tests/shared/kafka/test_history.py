"""The past of a topic: all events since a time, and no others."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka import history
from shared.kafka.history import read_since
from shared.kafka.producer import Publisher
from shared.settings import Settings


def recorded(number: int, tenant: str = "acme") -> Event[Recorded]:
    data = Recorded("kim", "looked up", str(number))
    return Event(RECORDED, data, tenant, "/tests", key=str(number % 7).encode())


async def publish(settings: Settings, *numbers: int) -> None:
    async with Publisher(settings, "observables") as publisher:
        for number in numbers:
            event = recorded(number)
            await publisher.publish(event)
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


def test_events_of_other_tenants_are_not_even_parsed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []

    def parse(topic: Any, record: Any, decoder: Any) -> Any:
        parsed.append(record)
        return original(topic, record, decoder)

    original = history.parse
    monkeypatch.setattr(history, "parse", parse)

    async def scenario() -> list[str]:
        start = datetime.now(UTC)
        async with Publisher(settings, "observables") as publisher:
            for number in range(20):
                event = recorded(number, "globex" if number % 4 else "initech")
                await publisher.publish(event)
            await publisher.flush()
        return [event.tenant async for event in read_since(settings, RECORDED, start, "initech")]

    assert asyncio.run(scenario()) == ["initech"] * 5
    assert len(parsed) == 5
