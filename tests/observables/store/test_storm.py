"""A storm on the real parts: consumers come and go, chunks are shuffled and repeated.

The end is that of a model. Two processes of the service consume all the time. Every two seconds a
third member joins their group or leaves it, so that they have to share the partitions anew whatever
they are doing; one of them is killed on the way, one is stopped.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer

from services.observables.consumers import SUBSCRIPTIONS
from services.observables.scoring.inputs import ObservableState, evaluate
from services.observables.store.changes import is_news
from services.observables.store.incoming import AssertingSource, AssertionData
from services.observables.store.repository import read
from shared.database import PLATFORM, Database
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.kafka.cluster import client_options
from shared.kafka.producer import Publisher
from shared.kafka.topics import bucket_key, topic_name
from shared.settings import Settings
from shared.stix import bucket
from shared.stix.ids import observable_id
from tests.observables.conftest import START
from tests.observables.store.naive import Outcome, Spoken, outcome, promised

pytestmark = pytest.mark.slow

FEEDS = [
    FeedRef(UUID(int=n), f"feed {n}", 60 + n, kind=("stream", "snapshot")[n % 2])
    for n in range(1, 5)
]
VALUES = [f"45.{number >> 8}.{number & 255}.7" for number in range(600)]
RUNS = 8
SECONDS_BETWEEN = 2.0
PACE = 10
TURNS = 8
"""How many turns have to find chunks that are being handled; the storm goes on until they did."""
KILLS = {4: signal.SIGKILL, 12: signal.SIGTERM}

Observed = Event[IndicatorsObserved]


def at(hour: int) -> datetime:
    return START - timedelta(days=3) + timedelta(hours=hour)


def history(chance: random.Random) -> tuple[list[Observed], list[Spoken]]:
    """Chunks of several runs of each feed, several on one day, and what they say."""
    events: list[Observed] = []
    reports: list[Spoken] = []
    for number in range(RUNS):
        for feed in FEEDS:
            moment = at(7 * number)
            source = AssertingSource(
                str(feed.id),
                feed.name,
                feed.reliability,
                moment,
                feed.kind,
                tenant="acme",
                tlp=feed.tlp,
            )
            seen = [_indicator(value, number, chance) for value in chance.sample(VALUES, 300)]
            listed = {indicator.value for indicator in seen}
            gone = [value for value in chance.sample(VALUES, 100) if value not in listed]
            reports += [
                Spoken(source, indicator.value, _word(indicator, moment)) for indicator in seen
            ]
            reports += [Spoken(source, value, None) for value in gone]
            events += chunks(feed, moment, seen, [Indicator("ipv4-addr", value) for value in gone])
    return events, reports


def _indicator(value: str, number: int, chance: random.Random) -> Indicator:
    """Mostly the same for all sources, so that streams repeat themselves."""
    if chance.random() < 0.6:
        return Indicator("ipv4-addr", value, confidence=50)
    until = at(7 * number + 90).isoformat() if chance.random() < 0.3 else None
    tags = chance.choice([[], ["phish"], ["c2", "phish"]])
    malware = chance.choice([None, "Emotet"])
    return Indicator(
        "ipv4-addr",
        value,
        confidence=chance.choice([20, 90]),
        tags=tags,
        malware=malware,
        valid_until=until,
    )


def _word(indicator: Indicator, moment: datetime) -> AssertionData:
    tags = tuple(sorted({"feed", *indicator.tags}))
    return AssertionData(
        indicator.confidence or 0,
        tags,
        indicator.malware,
        moment,
        datetime.fromisoformat(indicator.valid_until) if indicator.valid_until else None,
    )


def chunks(
    feed: FeedRef, moment: datetime, seen: list[Indicator], gone: list[Indicator]
) -> list[Observed]:
    by_bucket = defaultdict[int, tuple[list[Indicator], list[Indicator]]](lambda: ([], []))
    for place, indicators in enumerate((seen, gone)):
        for indicator in indicators:
            by_bucket[bucket(observable_id("ipv4-addr", indicator.value))][place].append(indicator)
    run = uuid4()
    return [
        Event(
            OBSERVED,
            IndicatorsObserved(
                feed, run, number, 0, moment.isoformat(), 50, ("feed",), listed, dropped
            ),
            "acme",
            "/services/feeds",
            bucket_key(number),
        )
        for number, (listed, dropped) in sorted(by_bucket.items())
    ]


class Consumers:
    """Two processes of the service; when one of them ends another one takes its place."""

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "ready.sock")
        self._ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ready.bind(self._address)
        self._ready.settimeout(60)
        self._running = [self._start(), self._start()]
        for _ in self._running:
            assert self._ready.recv(64) == b"READY=1"

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.observables", "consumer"]
        environ = {**os.environ, "NOTIFY_SOCKET": self._address}
        return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)

    def replace(self, which: int, how: signal.Signals) -> None:
        """End one, whatever it does just now; its successor joins when it is ready."""
        self._running[which].send_signal(how)
        self._running[which].wait(30)
        self._running[which] = self._start()

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        self._ready.close()


class Visitor:
    """A member of the consumers' group that does nothing but join it and leave it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._here: AIOKafkaConsumer | None = None

    async def turn(self) -> None:
        if self._here is not None:
            await self.close()
            return
        self._here = AIOKafkaConsumer(
            *(
                topic_name(self._settings, subscription.topic.name)
                for subscription in SUBSCRIPTIONS
            ),
            **client_options(self._settings),
            group_id=f"{self._settings.kafka_topic_prefix}sentineliq.observables",
            enable_auto_commit=False,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=500,
        )
        await self._here.start()

    async def close(self) -> None:
        if self._here is not None:
            await self._here.stop()
            self._here = None


async def storm(own: Database, settings: Settings, events: list[Observed], folder: Path) -> int:
    """Send chunks, with one consumer more or less every two seconds; return how many."""
    chance = random.Random(6)  # noqa: S311  # test data
    consumers = await asyncio.to_thread(Consumers, folder)
    visitor = Visitor(settings)
    try:
        async with Publisher(settings, "feeds") as publisher:
            waiting = list(events)
            sent = 0
            hit = 0
            before = 0
            for turn in range(60):
                await visitor.turn()
                if turn in KILLS:
                    await asyncio.to_thread(consumers.replace, turn % 2, KILLS[turn])
                for _ in range(20):
                    for _ in range(PACE):
                        await publisher.publish(waiting.pop() if waiting else chance.choice(events))
                        sent += 1
                    await asyncio.sleep(SECONDS_BETWEEN / 20)
                await publisher.flush()
                now = await asyncio.to_thread(handled, own)
                hit += before < now < sent
                before = now
                if hit >= TURNS and turn > max(KILLS) and not waiting:
                    break
            else:
                raise AssertionError(
                    f"only {hit} turns found work that was under way, {len(waiting)} chunks wait"
                )
        await visitor.close()
        for _ in range(1_200):
            if await asyncio.to_thread(handled, own) >= sent:
                return sent
            await asyncio.sleep(0.1)
        raise AssertionError("the storm did not end")
    finally:
        await visitor.close()
        consumers.close()


def handled(own: Database) -> int:
    """The records behind the offsets that the database knows."""
    with own.transaction(PLATFORM) as session:
        query = sa.text(
            "SELECT coalesce(sum(last_offset + 1), 0) FROM consumer_offset "
            "WHERE topic LIKE '%feeds.observed.v1'"
        )
        return int(session.scalar(query) or 0)


def state(own: Database) -> dict[str, ObservableState]:
    with own.transaction("acme") as session:
        ids = session.scalars(sa.text("SELECT id::text FROM observable")).all()
        return {state_.value: state_ for state_ in read.read_states(session, "acme", ids).values()}


def newest_of(reports: list[Spoken]) -> dict[str, datetime]:
    newest: dict[str, datetime] = {}
    for report in reports:
        newest[report.value] = max(
            newest.get(report.value, report.source.observed_at), report.source.observed_at
        )
    return newest


def compare(
    states: dict[str, ObservableState], expected: Outcome, reports: list[Spoken]
) -> Iterator[str]:
    """The values of which the state is not the model's."""
    newest = newest_of(reports)
    for value in states.keys() | expected.keys():
        row = states.get(value)
        if row is None or promised(row.assertions) != promised(expected[value]):
            yield f"{value}: {row} instead of {expected.get(value)}"
            continue
        stored = []
        for assertions in (row.assertions, expected[value]):
            scored = evaluate(row.type, assertions.values(), (), row.effects, newest[value])
            stored.append(scored.score)
        if stored[0] != stored[1] or is_news(row.score, stored[1]):
            yield f"{value}: scores {row.score}, {stored[0]} instead of {stored[1]}"


@pytest.mark.timeout(300)
def test_two_consumers_that_come_and_go_end_where_a_model_ends(
    own: Database, settings: Settings, tmp_path: Path
) -> None:
    chance = random.Random(5)  # noqa: S311  # test data
    events, reports = history(chance)
    chance.shuffle(events)
    assert asyncio.run(storm(own, settings, events, tmp_path)) > len(events)
    assert list(compare(state(own), outcome(reports), reports)) == []
    with own.transaction("acme") as session:
        assert (
            session.scalar(sa.text("SELECT count(*) FROM run_chunk WHERE repeated IS NOT NULL")) > 0
        )
