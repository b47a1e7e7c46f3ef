"""Reading the log: its assignments, the analysis of its records, and the announcements."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import stamina

from services.observables.trends import replay, service
from services.observables.trends.analysis import Analysis, Place
from services.observables.trends.autonomous_systems import AutonomousSystems
from services.observables.trends.trend import HourlyPeak, Trend
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, Unavailable
from shared.events import ConsumedRecord
from shared.events.feeds import OBSERVED
from shared.events.observables import CHANGED, ENRICHED
from shared.events.signature import EventVerifier
from shared.kafka.cluster import consumer_group
from shared.kafka.offsets import unsigned_until
from shared.kafka.topics import topic_name
from shared.settings import Settings
from shared.signing import Unauthentic
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import EVENTS_HANDLED

log = get_logger(__name__)


class StartPosition(NamedTuple):
    """Where to read a partition from, and up to where it was handled before."""

    begin: int
    resume: int


class LogReader:
    """Reads the assigned partitions and announces the trends in them.

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
        self._resume: dict[Place, int] = {}
        self._verifier = EventVerifier(settings)
        self._topics_by_name = {topic.name: topic for topic in (OBSERVED, CHANGED, ENRICHED)}
        self._unsigned_until = 0
        # One record or tick at a time: a record is committed only after the rises of all minutes
        # that were over when it came are announced.
        self._lock = asyncio.Lock()

    def positions(self) -> dict[Place, int]:
        """Where each partition goes on; empty while none is assigned."""
        return self._analysis.positions() if self._analysis else {}

    async def assign(
        self, generation: int, partitions: Iterable[Place]
    ) -> dict[Place, StartPosition]:
        """Prepare for the partitions of a generation of the group; return where to read each.

        A new generation begins with an empty state and replays the log, which has all that the
        next trends depend on.
        """
        async with self._lock:
            await asyncio.to_thread(self._systems.reload_if_stale)
            if generation != self._generation or self._analysis is None:
                self._unsigned_until = await asyncio.to_thread(self._read_unsigned_until)
                plan = await replay.plan_replay(
                    self._settings, self.group, list(partitions), time.time()
                )
                peaks = await asyncio.to_thread(service.load_peaks, self._database, time.time())
                self._analysis = Analysis(
                    plan, self._settings.kafka_topic_prefix, self._systems.numbers_of, peaks
                )
                self._generation = generation
                self._resume = {place: span.resume for place, span in plan.spans.items()}
                back = sum(span.resume - span.begin for span in plan.spans.values())
                log.info("trends.replay_planned", partitions=len(plan.spans), records_back=back)
            self._ready()
            return {
                place: StartPosition(offset, self._resume[place])
                for place, offset in self._analysis.positions().items()
            }

    async def handle(self, generation: int, record: ConsumedRecord, timestamp: float) -> None:
        """Handle one record; return when the trends that it completes are committed."""
        async with self._lock:
            if self._analysis is None or generation != self._generation:
                return  # of an earlier assignment; it will be read again
            topic = record.topic.removeprefix(self._settings.kafka_topic_prefix)
            try:
                self._verifier.verify(self._topics_by_name[topic], record, self._unsigned_until)
                trends = self._analysis.handle(record, timestamp)
            except Unauthentic:
                # The service's consumer passes it over, and tells of it.
                self._analysis.pass_over(record, timestamp)
                trends = []
            except InvalidInput as error:
                # The service's consumer sends it to the dead letters.
                log.warning(
                    "trends.record_skipped", topic=topic, offset=record.offset, reason=error.message
                )
                trends = []
            except Exception:  # a bug must not stop the partition for ever
                log.exception("trends.record_failed", topic=topic, offset=record.offset)
                trends = []
            await self._announce(trends)
            self.beats += 1
            EVENTS_HANDLED.labels(f"{self._database.service}.trends", topic).inc()

    async def tick(self, ends: Mapping[Place, int]) -> None:
        """Judge the minutes that are over."""
        await asyncio.to_thread(self._systems.reload_if_stale)
        async with self._lock:
            if self._analysis is not None:
                trends = self._analysis.tick(time.time(), ends)
                await self._announce(trends, self._analysis.take_peaks())

    async def _announce(self, trends: list[Trend], peaks: Sequence[HourlyPeak] = ()) -> None:
        if not trends and not peaks:
            return
        async for attempt in stamina.retry_context(
            Unavailable,
            attempts=None,
            timeout=None,
            wait_initial=0.2,
            wait_max=1.0,
            wait_jitter=0.2,
        ):
            with attempt:
                new = await self._commit(trends, peaks)
        if new:
            log.info("trends.announced", trends=len(trends), new=new)

    async def _commit(self, trends: list[Trend], peaks: Sequence[HourlyPeak]) -> int:
        try:
            return await asyncio.to_thread(self._commit_now, trends, peaks)
        except Unavailable as error:
            log.warning("trends.announce_failed", reason=error.message)
            # Waiting for the database is a sign of life: a new process would wait as well.
            self.beats += 1
            raise

    def _read_unsigned_until(self) -> int:
        with self._database.transaction(PLATFORM) as session:
            return unsigned_until(session)

    def _commit_now(self, trends: list[Trend], peaks: Sequence[HourlyPeak]) -> int:
        with self._database.transaction(PLATFORM) as session:
            service.store_peaks(session, peaks)
            return service.announce(session, trends)
