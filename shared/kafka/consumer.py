"""The consumer: a handler is one transaction, and the database knows how far it came, not Kafka.

Each partition is read from the offset in the database on (`consumer_offset`), in a task of its own.
Kafka's own offsets are committed afterwards, as a hint for tools that watch the lag. A zombie
consumer finds the row advanced, and a replayed offset finds it passed: neither changes anything.
Where the log is not the one that was read before, the consumer notes a gap and goes on at the right
place; a partition whose records cannot be handled is halted while the others go on.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

import stamina
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.database import Database
from shared.errors import Unavailable
from shared.events import MAX_EVENT_BYTES, ConsumedRecord
from shared.kafka.assignment import Assignment
from shared.kafka.batch_handler import (
    BatchHandler,
    HandlerBlocked,
    PartitionHalted,
    RowMovedBack,
    Subscription,
)
from shared.kafka.clients import close_client
from shared.kafka.cluster import REQUEST_MS, client_options, consumer_group
from shared.kafka.dlq_limit import DlqLimitExceeded
from shared.kafka.fetch_watch import FetchWatch
from shared.kafka.gaps import rewound_gap
from shared.kafka.log_check import consumed_record, find_gap, log_bounds
from shared.kafka.offsets import PartitionKey, cluster_id
from shared.kafka.partition_state import PartitionState
from shared.kafka.topics import topic_name
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import CONSUMER_LAG

__all__ = ["Consumer", "Subscription"]

log = get_logger(__name__)

Result = TypeVar("Result")

_BATCH_BYTES: Final = 4 * MAX_EVENT_BYTES
_BATCH_RECORDS: Final = 500
_HINT_SECONDS: Final = 5.0
_HINT_BYTES: Final = 64 * 1024
_HINT_PACE_SECONDS: Final = 0.5
"""Kafka is told how far a partition is after so many bytes or seconds, and when nothing follows."""
_IDLE_MS: Final = 200
_POLL_MS: Final = 1_000
_PAUSE_SECONDS: Final = 0.2
_HALTED_SECONDS: Final = 2.0
"""Between two looks at a halted partition."""
_BLOCKED_SECONDS: Final = 600.0
"""After that a partition is halted whose records the database refuses without an outage."""
_PART_THREADS: Final = 2
"""A group beside the service's own takes no more of its connections."""
_CHECK_SECONDS: Final = 60.0
"""After that a partition's log is compared with its row again."""
_SESSION_MS: Final = 7_000
"""Kafka takes the partitions from a consumer that is silent for so long: killed, or frozen. A
successor applies them once PostgreSQL has ended the frozen one's transaction."""


class BlockedTooLong(Exception):
    """The database has refused the same records for a long time; a person has to find the cause."""


class Consumer:
    """Runs a service's subscriptions in one consumer group.

    Args:
        database: the service's database, which also stores the offsets.
        settings: name the cluster.
        subscriptions: at most one per topic.
        part: the name of a group beside the service's own, which reads topics at a pace of its
            own; empty for the service's own.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        subscriptions: Sequence[Subscription[Any]],
        part: str = "",
    ) -> None:
        own_group = consumer_group(settings, database.service)
        self.group = f"{own_group}.{part}" if part else own_group
        self._database = database
        self._settings = settings
        self._handlers = {
            topic_name(settings, subscription.topic.name): BatchHandler(
                database, settings, subscription
            )
            for subscription in subscriptions
        }
        self._cluster = ""
        # Threads of their own: what else a process does in threads waits for no partition, and a
        # connection is left for it.
        threads = _PART_THREADS if part else max(1, database.connections - 1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="partition")

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Consume until cancelled; survives rebalances and the loss of the database or of Kafka.

        Args:
            ready: called when the consumer has joined its group.
        """
        while True:
            try:
                self._cluster = await cluster_id(self._settings)
                await self._consume(ready)
            except (KafkaError, Unavailable) as error:
                log.warning("consumer.waiting", reason=str(error))
                await asyncio.sleep(1.0)

    async def _consume(self, ready: Callable[[], None]) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            group_id=self.group,
            client_id=self.group,
            enable_auto_commit=False,
            # A position that the log does not have is a gap, which is looked into.
            auto_offset_reset="none",
            request_timeout_ms=REQUEST_MS,
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=1_000,
            max_partition_fetch_bytes=2 * _BATCH_BYTES,
            fetch_max_wait_ms=250,
            # A topic that was deleted and made anew is noticed when the client asks for its topics.
            metadata_max_age_ms=10_000,
        )
        watch = FetchWatch(consumer)
        assignment = Assignment(partial(self._consume_partition, consumer, watch))
        consumer.subscribe(list(self._handlers), listener=assignment)
        async with AsyncExitStack() as ending:
            ending.push_async_callback(close_client, consumer)
            # Before that: a partition's task asks the consumer, which would connect for it again.
            ending.push_async_callback(assignment.close)
            await consumer.start()
            ready()
            await assignment.watch(consumer)

    async def _consume_partition(
        self, consumer: AIOKafkaConsumer, watch: FetchWatch, partition: TopicPartition
    ) -> None:
        """Apply a partition's records from the offset in the database on, until cancelled."""
        handler = self._handlers[partition.topic]
        key = PartitionKey(self._cluster, self.group, *partition)
        state = PartitionState(self._database, key, handler.subscription)
        commit = partial(handler.commit, key)
        reached = 0
        while True:
            try:
                breaks = watch.breaks
                position = await self._find_position(consumer, partition, state, reached)
                # The consumer before may have been killed between its transaction and its hint.
                await _commit_hint(consumer, partition, position)
                is_unbroken = partial(watch.is_unbroken_since, breaks)
                await self._retry(partition, state.report_refusals)
                reached = await self._read_on(
                    consumer, partition, state, commit, position, is_unbroken
                )
            except PartitionHalted:
                await asyncio.sleep(_HALTED_SECONDS)
            except (DlqLimitExceeded, BlockedTooLong) as error:
                await self._retry(partition, partial(state.halt, str(error)))
            except RowMovedBack as error:
                reached = 0
                await self._retry(partition, partial(state.move, error.gap))
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                log.warning("consumer.position_lost", topic=partition.topic, reason=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _find_position(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        state: PartitionState,
        reached: int,
    ) -> int:
        """Seek to the first record that the database does not have; return its offset.

        Args:
            consumer: has the partition.
            partition: which.
            state: its row.
            reached: the offset behind the last record that this consumer has applied.

        Raises:
            PartitionHalted: the partition must not be read.
        """
        while True:
            stored = await self._retry(partition, state.read)
            if stored is None:
                # Without a row everything is new: Kafka's own offset may belong to a database that
                # was lost.
                start, end = await log_bounds(consumer, partition)
                await self._retry(partition, partial(state.begin, start, end))
                continue
            if stored.halt is not None:
                raise PartitionHalted
            if stored.last + 1 < reached:
                await self._retry(partition, partial(state.move, rewound_gap(stored.last, reached)))
                reached = 0
            gap = await find_gap(consumer, partition, stored)
            if gap is None:
                return stored.last + 1
            await self._retry(partition, partial(state.move, gap))
            # The row goes back by that, and not because the database did.
            reached = 0

    async def _read_on(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        state: PartitionState,
        commit: Callable[[list[ConsumedRecord], int], int],
        position: int,
        is_unbroken: Callable[[], bool],
    ) -> int:
        """Apply records from a position on, until it is time to check the log again.

        That is also when the broker was away: what was fetched since then may be of another log.

        Returns:
            The position behind the last record.
        """
        ends = time.monotonic() + _CHECK_SECONDS
        pace = self._handlers[partition.topic].subscription.pace
        started = -pace
        hinted = time.monotonic()
        unhinted = 0
        while time.monotonic() < ends:
            await asyncio.sleep(started + pace - time.monotonic())
            polled = await consumer.getmany(
                partition,
                timeout_ms=_IDLE_MS if unhinted else _POLL_MS,
                max_records=_BATCH_RECORDS,
            )
            records = polled.get(partition, [])
            if records and not is_unbroken():
                return position
            if not records and state.is_report_due:
                await self._retry(partition, state.report_refusals)
            started = time.monotonic() if records else started
            for batch in _batches(records):
                refused = await self._retry(partition, partial(commit, batch, position))
                state.note_refused(refused)
                position = batch[-1].offset + 1
                unhinted += sum(len(record.value or b"") + 1 for record in batch)
                self._measure_lag(consumer, partition, position)
            is_late = time.monotonic() - hinted >= _HINT_PACE_SECONDS or not records
            if unhinted >= _HINT_BYTES or (unhinted and is_late):
                await _commit_hint(consumer, partition, position)
                hinted = time.monotonic()
                unhinted = 0
        return position

    async def _retry(self, partition: TopicPartition, work: Callable[[], Result]) -> Result:
        """Run work in a thread; while the database is away, retry without end and skip nothing.

        Raises:
            BlockedTooLong: the database was there for minutes, and refused the work.
        """
        loop = asyncio.get_running_loop()
        blocked_at: float | None = None
        async for attempt in stamina.retry_context(
            Unavailable,
            attempts=None,
            timeout=None,
            wait_initial=0.2,
            wait_max=5.0,
            wait_jitter=0.2,
        ):
            with attempt:
                try:
                    return await loop.run_in_executor(self._threads, copy_context().run, work)
                except HandlerBlocked as error:
                    log.warning("consumer.blocked", topic=partition.topic, reason=error.message)
                    blocked_at = blocked_at or time.monotonic()
                    if time.monotonic() - blocked_at >= _BLOCKED_SECONDS:
                        raise BlockedTooLong(_blocked_reason(partition, error)) from error
                    raise
                except Unavailable as error:
                    blocked_at = None
                    log.warning("consumer.retrying", topic=partition.topic, reason=error.message)
                    raise
        raise AssertionError("The retries have no end.")

    def _measure_lag(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, next_offset: int
    ) -> None:
        if partition not in consumer.assignment():
            return
        highwater = consumer.highwater(partition) or 0
        labels = (self._database.service, partition.topic, str(partition.partition))
        CONSUMER_LAG.labels(*labels).set(max(0, highwater - next_offset))


def _blocked_reason(partition: TopicPartition, error: HandlerBlocked) -> str:
    return (
        f"The database has refused the next record of {partition.topic}/{partition.partition} for "
        f"{_BLOCKED_SECONDS / 60:.0f} minutes. {error.message[:500]} "
        "The partition is halted here; nothing was lost."
    )


async def _commit_hint(
    consumer: AIOKafkaConsumer, partition: TopicPartition, next_offset: int
) -> None:
    """Tell Kafka how far the database is; whether it listens changes nothing here.

    Another consumer may have the partition by now. The records that were read with these are still
    applied in order: the offset row fences off what the other consumer has applied.
    """
    try:
        async with asyncio.timeout(_HINT_SECONDS):
            await consumer.commit({partition: next_offset})
    except (KafkaError, TimeoutError) as error:
        log.info(
            "consumer.hint_failed",
            topic=partition.topic,
            partition=partition.partition,
            reason=str(error) or type(error).__name__,
        )


def _batches(records: list[ConsumerRecord]) -> Iterator[list[ConsumedRecord]]:
    """Cut records into batches of a few megabytes, each of them one transaction."""
    batch: list[ConsumedRecord] = []
    size = 0
    for record in records:
        value = record.value or b""
        if batch and size + len(value) > _BATCH_BYTES:
            yield batch
            batch = []
            size = 0
        batch.append(consumed_record(record))
        size += len(value)
    if batch:
        yield batch
