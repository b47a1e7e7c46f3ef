"""The Faust app: whole chunks from the log through the analysis to the store.

Faust brings records and commits what was handled; where reading begins after an assignment is decided here, since the
state lives in memory only. There are no tables, no changelogs, no web server, and no topics of its own.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import faust
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, EventT, StreamT

from services.observables.trends import replay, repository
from services.observables.trends.analysis import Analysis, Place
from services.observables.trends.autonomous_systems import AutonomousSystems
from services.observables.trends.windows import Trend
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, Unavailable
from shared.events import ConsumedRecord
from shared.events.feeds import OBSERVED
from shared.events.observables import CHANGED, ENRICHED
from shared.kafka.cluster import consumer_group
from shared.kafka.topics import topic_name
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import EVENTS_HANDLED

log = get_logger(__name__)

_TICK: Final = 1.0
_MEGABYTE: Final = 1024 * 1024


class LogReader:
    """What the app does with the log: the plan of a reading, its state, and its announcements.

    Attributes:
        group: the consumer group.
        topics: what is read, by the cluster's names.
        beats: signs of life: records handled, and attempts to announce.
    """

    def __init__(self, settings: Settings, database: Database, ready: Callable[[], None]) -> None:
        self.group = f"{consumer_group(settings, database.service)}.trends"
        self.topics = [topic_name(settings, topic.name) for topic in (OBSERVED, CHANGED, ENRICHED)]
        self.beats = 0
        self._settings = settings
        self._database = database
        self._systems = AutonomousSystems(database)
        self._ready = ready
        self._analysis: Analysis | None = None
        self._generation: int | None = None
        self._resumed: dict[Place, int] = {}
        # A record is not committed before the rises of minutes that were over when it came are announced.
        self._turn = asyncio.Lock()

    def positions(self) -> dict[Place, int]:
        """Where each partition goes on; nothing while none is assigned."""
        return self._analysis.positions() if self._analysis else {}

    async def begin(
        self, generation: int, assigned: Iterable[Place]
    ) -> dict[Place, tuple[int, int]]:
        """Where to read the assigned partitions from, and up to where they were handled in earlier lives.

        A new generation begins anew: a trend rests on what was before, and the log has it all.
        """
        async with self._turn:
            await asyncio.to_thread(self._systems.reload_if_stale)
            if generation != self._generation or self._analysis is None:
                plan = await replay.plan_replay(
                    self._settings, self.group, list(assigned), time.time()
                )
                self._analysis = Analysis(
                    plan, self._settings.kafka_topic_prefix, self._systems.numbers_of
                )
                self._generation = generation
                self._resumed = {place: span.resume for place, span in plan.spans.items()}
                back = sum(span.resume - span.begin for span in plan.spans.values())
                log.info("trends.reading", partitions=len(plan.spans), records_back=back)
            self._ready()
            return {
                place: (at, self._resumed[place])
                for place, at in self._analysis.positions().items()
            }

    async def take(self, generation: int, record: ConsumedRecord, timestamp: float) -> None:
        """Handle one record and announce what it completes; returns when that is committed."""
        async with self._turn:
            if self._analysis is None or generation != self._generation:
                return  # left over from an assignment that is no more; it will be read again
            topic = record.topic.removeprefix(self._settings.kafka_topic_prefix)
            try:
                trends = self._analysis.handle(record, timestamp)
            except InvalidInput as error:
                # The service's consumer sends it to the dead letters.
                log.warning(
                    "trends.unreadable", topic=topic, offset=record.offset, reason=error.message
                )
                trends = []
            except Exception:  # a bug must not stop the partition for ever
                log.exception("trends.failed", topic=topic, offset=record.offset)
                trends = []
            await self._announce(trends)
            self.beats += 1
            EVENTS_HANDLED.labels(f"{self._database.service}.trends", topic).inc()

    async def tick(self, ends: Mapping[Place, int]) -> None:
        """Judge the minutes that are over."""
        await asyncio.to_thread(self._systems.reload_if_stale)
        async with self._turn:
            if self._analysis is not None:
                await self._announce(self._analysis.tick(time.time(), ends))

    async def _announce(self, trends: list[Trend]) -> None:
        pause = 0.2
        while trends:
            try:
                fresh = await asyncio.to_thread(self._commit, trends)
            except Unavailable as error:
                log.warning("trends.retrying", reason=error.message)
                # Waiting for the database is no silence: a new process would wait as well.
                self.beats += 1
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
                pause = min(pause * 2, 1.0)
            else:
                if fresh:
                    log.info("trends.announced", found=len(trends), new=fresh)
                return

    def _commit(self, trends: list[Trend]) -> int:
        with self._database.transaction(PLATFORM) as session:
            return repository.announce(session, trends)


class _Consumer(Consumer):
    """Faust's consumer, except that it begins where the reading says and not at the committed offsets."""

    async def perform_seek(self) -> None:
        """Called after every assignment, before the first record, and when fetched records were thrown away."""
        assigned = {(tp.topic, tp.partition): tp for tp in self.assignment()}
        transport: Any = self.transport
        places = await transport.reading.begin(self.app.consumer_generation_id, assigned)
        starts = {
            assigned[place]: start for place, (start, _) in places.items() if place in assigned
        }
        await self.seek_wait(starts)
        for place, (start, resume) in places.items():
            if (tp := assigned.get(place)) is not None:
                self._read_offset[tp] = start or None
                # What is read again is not committed again: the group's offsets never move back.
                self._committed_offset[tp] = resume or None


# By default it would speak as this module, in Faust's words.
_Consumer.logger = Consumer.logger


class _Transport(Transport):
    Consumer = _Consumer
    reading: LogReader


def create_app(settings: Settings, reading: LogReader) -> faust.App:
    """The Faust app of a reading; `await app.start()` begins it."""
    app = faust.App(
        reading.group,
        broker=[
            f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")
        ],
        autodiscover=False,
        datadir=settings.data_dir / "faust",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        # There is one reader at a time. As the same member it gets its partitions at once, without waiting until the
        # cluster has given up its killed predecessor.
        consumer_group_instance_id="reader",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * _MEGABYTE,
        broker_max_poll_records=100,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=1.0,
        broker_commit_interval=1.0,
        # Records are large: Faust's 4,096 waiting ones would be hundreds of megabytes.
        stream_buffer_maxsize=64,
    )
    transport = _Transport(app.conf.broker_consumer, app)
    transport.reading = reading
    app.transport = transport
    chunks = app.topic(
        *reading.topics,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )

    @app.agent(chunks)
    async def take(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            await reading.take(event.message.generation_id, _record(event), event.message.timestamp)

    @app.timer(_TICK)  # type: ignore[untyped-decorator]  # Faust's
    async def tick() -> None:
        await reading.tick(_ends(app))

    return app


def _record(event: EventT[bytes]) -> ConsumedRecord:
    message: Any = event.message
    headers = list(message.headers or ())
    return ConsumedRecord(
        message.topic, message.partition, message.offset, message.key, message.value or b"", headers
    )


def _ends(app: faust.App) -> dict[Place, int]:
    """Where the assigned partitions end, as of the last fetch."""
    consumer: Any = app.consumer
    found: dict[TP, int | None] = {tp: consumer.highwater(tp) for tp in consumer.assignment()}
    return {(tp.topic, tp.partition): end for tp, end in found.items() if end is not None}
