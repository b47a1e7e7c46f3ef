"""A storm on the real parts: consumers that come and go, chunks shuffled and repeated; the end is that of a model."""

import asyncio
import random
from collections import defaultdict
from uuid import UUID, uuid4

import sqlalchemy as sa

from services.observables.consumers import SUBSCRIPTIONS
from shared.database import PLATFORM, Database
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.kafka.consumer import Consumer
from shared.kafka.producer import Publisher
from shared.kafka.topics import bucket_key
from shared.settings import Settings
from shared.stix import bucket
from shared.stix.ids import observable_uuid
from tests.observables.conftest import after

FEEDS = [FeedRef(UUID(int=number), f"feed {number}", 60 + number, kind="snapshot") for number in range(1, 5)]
VALUES = [f"10.{number >> 8}.{number & 255}.7" for number in range(3_000)]
RUNS, SECONDS_BETWEEN = 6, 2.0

Model = dict[str, dict[str, int]]


def history(chance: random.Random) -> tuple[list[Event[IndicatorsObserved]], Model]:
    """Chunks of several runs of each feed, and who says what when all of them have been heard."""
    events, model = [], defaultdict[str, dict[str, int]](dict)
    for minute in range(RUNS):
        for feed in FEEDS:
            seen = {value: chance.choice([20, 50, 90]) for value in chance.sample(VALUES, 1_200)}
            gone = set(chance.sample(VALUES, 600)) - set(seen)
            for value, confidence in seen.items():
                model[value][feed.name] = confidence
            for value in gone:
                model[value].pop(feed.name, None)
            events += chunks(feed, after(minute), seen, gone)
    return events, model


def chunks(feed: FeedRef, at: str, seen: dict[str, int], gone: set[str]) -> list[Event[IndicatorsObserved]]:
    by_bucket = defaultdict[int, tuple[list[Indicator], list[Indicator]]](lambda: ([], []))
    for value, confidence in seen.items():
        by_bucket[bucket(observable_uuid("ipv4-addr", value))][0].append(
            Indicator("ipv4-addr", value, confidence=confidence)
        )
    for value in gone:
        by_bucket[bucket(observable_uuid("ipv4-addr", value))][1].append(Indicator("ipv4-addr", value))
    run = uuid4()
    return [
        Event(
            OBSERVED,
            IndicatorsObserved(feed, run, number, 0, at, 50, (), listed, dropped),
            "acme",
            "/services/feeds",
            bucket_key(number),
        )
        for number, (listed, dropped) in sorted(by_bucket.items())
    ]


async def storm(own: Database, settings: Settings, events: list[Event[IndicatorsObserved]], expected: int) -> None:
    async with Publisher(settings) as publisher:
        for event in events:
            await publisher.publish(event)
        await publisher.flush()
    consumers = [asyncio.ensure_future(Consumer(own, settings, SUBSCRIPTIONS).run()) for _ in range(2)]
    try:
        for turn in range(60):
            await asyncio.sleep(SECONDS_BETWEEN)
            if await asyncio.to_thread(handled, own) >= expected and turn >= 4:
                return
            # One of them leaves in the middle of whatever it does, and another one joins.
            consumers[turn % 2].cancel()
            await asyncio.gather(consumers[turn % 2], return_exceptions=True)
            consumers[turn % 2] = asyncio.ensure_future(Consumer(own, settings, SUBSCRIPTIONS).run())
        raise AssertionError("the storm did not end")
    finally:
        for consumer in consumers:
            consumer.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)


def handled(own: Database) -> int:
    """The records behind the offsets that the database knows."""
    with own.transaction(PLATFORM) as session:
        query = sa.text(
            "SELECT coalesce(sum(last_offset + 1), 0) FROM consumer_offset WHERE topic LIKE '%feeds.observed.v1'"
        )
        return int(session.scalar(query) or 0)


def state(own: Database) -> Model:
    found = defaultdict[str, dict[str, int]](dict)
    with own.transaction("acme") as session:
        query = sa.text(
            "SELECT o.value, s.name, a.confidence FROM assertion a JOIN observable o ON o.id = a.observable_id "
            "JOIN source s ON s.id = a.source_id WHERE a.retracted_at IS NULL"
        )
        for value, name, confidence in session.execute(query):
            found[value][name] = confidence
    return found


def test_two_consumers_that_come_and_go_end_where_a_model_ends(own: Database, settings: Settings) -> None:
    chance = random.Random(5)  # noqa: S311  # test data
    events, model = history(chance)
    stormy = [*events, *chance.sample(events, len(events) // 2)]
    chance.shuffle(stormy)
    asyncio.run(storm(own, settings, stormy, len(stormy)))
    assert state(own) == {value: said for value, said in model.items() if said}
