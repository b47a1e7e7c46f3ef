"""One reader of the topics for all streams of a process, and what it remembers of them.

Nothing is stored: the log is the memory. The reader begins when the first page listens, with the
last five minutes, so that a page that lost one process goes on at another without a gap.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from services.gateway.console.live_events import (
    LIVE_TOPICS,
    SLACK_MS,
    LiveChange,
    merge_changes,
    read_change,
)
from shared.auth import Principal
from shared.errors import SentinelIQError, Unavailable
from shared.events import ConsumedRecord
from shared.events.signature import EventVerifier
from shared.kafka.clients import running
from shared.kafka.cluster import REQUEST_MS, administrator, client_options
from shared.kafka.topics import topic_name
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

LIVE_STREAMS: Final = Gauge(
    "sentineliq_live_streams", "Streams of changes that browsers have open."
)
LIVE_STREAMS_CUT: Final = Counter(
    "sentineliq_live_streams_cut_total", "Streams of changes that ended by the gateway.", ["reason"]
)
GAP: Final = b"event: gap\ndata: {}\n\n"
"""More has happened than the stream can tell: the page has to be loaded again."""
AWAY: Final = b"event: away\ndata: {}\n\n"
"""The log does not answer: nothing is heard until it does."""
ENDED: Final = b"event: ended\ndata: {}\n\n"
"""The session is over: no other stream of it begins."""

_MAX_STREAMS: Final = 1_000
_MAX_PENDING: Final = 500
_MAX_REMEMBERED: Final = 10_000
_REMEMBERED_SECONDS: Final = 300
_POLL_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0
_CLIENT: Final = "sentineliq-live"


class LiveStream:
    """What one browser has yet to get.

    Args:
        principal: who listens.
        credential: what they have signed in with.
        since: milliseconds since 1970; what happened before is of no interest.
    """

    def __init__(self, principal: Principal, credential: str, since: int) -> None:
        self.principal = principal
        self.credential = credential
        self.since = since
        self.end_reason = ""
        self._pending: deque[bytes] = deque()
        self._news = asyncio.Event()

    def tell(self, change: LiveChange) -> None:
        """Put a change there, if it is for this person."""
        if change.at >= self.since and change.is_for(self.principal):
            self.put(change.encode())

    def put(self, event: bytes) -> None:
        """Put an event there; a stream that is not read is cut, and taken up again by its page."""
        if len(self._pending) >= _MAX_PENDING:
            self.end("slow")
            return
        self._pending.append(event)
        self._news.set()

    def end(self, reason: str, last: bytes = b"") -> None:
        """End the stream.

        Args:
            reason: names it in the metric.
            last: the event that is still sent.
        """
        self.end_reason = self.end_reason or reason
        self._pending.clear()
        if last:
            self._pending.append(last)
        self._news.set()

    async def take(self, seconds: float) -> bytes:
        """All that has come, after some seconds at most; empty if nothing has."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        return self.rest()

    def rest(self) -> bytes:
        """All that has come."""
        self._news.clear()
        events = b"".join(self._pending)
        self._pending.clear()
        return events


class LiveHub:
    """Reads the topics while somebody listens, and tells every stream what is for it.

    Args:
        settings: the address of the log, and the keys.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verifier = EventVerifier(settings)
        self._names = {topic_name(settings, name): name for name in LIVE_TOPICS}
        self._streams: set[LiveStream] = set()
        self._remembered: deque[LiveChange] = deque()
        self._complete_since = int(time.time() * 1000)
        self._is_away = False
        self._wanted_at = time.monotonic()
        self._reader: asyncio.Task[None] | None = None

    @property
    def streams(self) -> list[LiveStream]:
        """Those that are open."""
        return list(self._streams)

    def open(self, principal: Principal, credential: str, since: int) -> LiveStream:
        """Open a stream, and put there what has happened since a time.

        Args:
            principal: who listens.
            credential: what they have signed in with.
            since: milliseconds since 1970.

        Raises:
            Unavailable: too many listen.
        """
        if len(self._streams) >= _MAX_STREAMS:
            raise Unavailable("Too many pages listen to this process.")
        stream = LiveStream(principal, credential, since)
        if self._reader is None:
            self._begin()
        if since < self._complete_since:
            stream.put(GAP)
        if self._is_away:
            stream.put(AWAY)
        missed = [change for change in self._remembered if change.at >= since]
        visible = [change for change in missed if change.is_for(principal)]
        if len(visible) >= _MAX_PENDING:
            stream.put(GAP)
        else:
            for change in visible:
                stream.tell(change)
        self._streams.add(stream)
        LIVE_STREAMS.inc()
        return stream

    def close(self, stream: LiveStream) -> None:
        """Forget a stream that has ended."""
        if stream in self._streams:
            self._streams.remove(stream)
            LIVE_STREAMS.dec()
            if stream.end_reason:
                LIVE_STREAMS_CUT.labels(stream.end_reason).inc()

    def end_all(self) -> None:
        """End all streams, so that the process can end; their pages open them at its successor."""
        for stream in self.streams:
            stream.end("stopped")

    async def stop(self) -> None:
        """End all streams, and stop reading."""
        self.end_all()
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    def _begin(self) -> None:
        self._remembered.clear()
        self._wanted_at = time.monotonic()
        self._complete_since = int(time.time() * 1000) - _REMEMBERED_SECONDS * 1000
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        """Read until cancelled; survives the loss of Kafka."""
        resume = self._complete_since
        while self._is_wanted():
            try:
                await self._read_since(resume)
            except (KafkaError, SentinelIQError, OSError) as error:
                log.warning("live.waiting", reason=repr(error))
                if not self._is_away:
                    resume = int(time.time() * 1000) - SLACK_MS
                    self._is_away = True
                    self._broadcast(AWAY)
            await asyncio.sleep(_RETRY_SECONDS)
        self._reader = None

    async def _read_since(self, since: int) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            client_id=_CLIENT,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            request_timeout_ms=REQUEST_MS,
            fetch_max_wait_ms=int(_POLL_SECONDS * 1000),
        )
        partitions = await self._partitions()
        consumer.assign(partitions)
        async with running(consumer):
            # The ends first: what comes between the two questions is behind them.
            ends = await consumer.end_offsets(partitions)
            starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
            for partition in partitions:
                start = starts[partition]
                consumer.seek(partition, start.offset if start is not None else ends[partition])
            self._note_return()
            while self._is_wanted():
                batches = await consumer.getmany(timeout_ms=int(_POLL_SECONDS * 1000))
                self._note([record for records in batches.values() for record in records])
                await asyncio.sleep(_POLL_SECONDS if batches else 0)

    def _is_wanted(self) -> bool:
        if self._streams:
            self._wanted_at = time.monotonic()
        return time.monotonic() - self._wanted_at < _REMEMBERED_SECONDS

    async def _partitions(self) -> list[TopicPartition]:
        async with administrator(self._settings) as admin:
            descriptions = await admin.describe_topics(list(self._names))
        return [
            TopicPartition(description["topic"], partition["partition"])
            for description in descriptions
            for partition in description["partitions"]
        ]

    def _note_return(self) -> None:
        if self._is_away:
            self._is_away = False
            # What was read twice is told twice; pages know events by their ids.
            self._broadcast(b"event: back\ndata: {}\n\n")

    def _note(self, records: list[ConsumerRecord]) -> None:
        changes: list[LiveChange] = []
        for record in records:
            change = read_change(_consumed(record), self._names[record.topic], self._verifier)
            if change is not None:
                changes.append(change)
        for change in merge_changes(changes):
            self._remember(change)
            for stream in self._streams:
                stream.tell(change)

    def _remember(self, change: LiveChange) -> None:
        self._remembered.append(change)
        horizon = int(time.time() * 1000) - _REMEMBERED_SECONDS * 1000
        while self._remembered and (
            len(self._remembered) > _MAX_REMEMBERED or self._remembered[0].at < horizon
        ):
            forgotten = self._remembered.popleft()
            self._complete_since = max(self._complete_since, forgotten.at + 1)

    def _broadcast(self, event: bytes) -> None:
        for stream in self._streams:
            stream.put(event)


def _consumed(record: Any) -> ConsumedRecord:
    return ConsumedRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value or b"",
        list(record.headers),
        record.timestamp,
    )
