"""The consumer: a handler is one transaction, and the database knows how far it came, not Kafka.

For each batch of a partition: lock the partition's row (`consumer_offset`), skip records that are
not newer, let the handler apply the rest, advance the row, commit. Kafka's own offsets are
committed afterwards, as a hint for tools that watch the lag. A zombie consumer finds the row
advanced, and a replayed offset finds it passed: neither changes anything.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Final, Generic, TypeVar

import msgspec
import stamina
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database, is_transient, set_tenant
from shared.errors import InvalidInput, SentinelIQError, Unavailable
from shared.events import MAX_EVENT_BYTES, ConsumedRecord, Event, Topic, parse
from shared.events.envelope import T
from shared.kafka import offsets
from shared.kafka.assignment import Assignment
from shared.kafka.cluster import consumer_group
from shared.kafka.dlq_limit import DlqLimit
from shared.kafka.outbox import dead_letter
from shared.kafka.topics import topic_name
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import CONSUMER_LAG, EVENT_SECONDS, EVENTS_DEAD, EVENTS_HANDLED
from shared.telemetry.tracing import WorkSpan

log = get_logger(__name__)

Result = TypeVar("Result")

_BATCH_BYTES: Final = 4 * MAX_EVENT_BYTES
_BATCH_RECORDS: Final = 500
_REASON_LENGTH: Final = 2000
_HINT_SECONDS: Final = 5.0
_SESSION_MS: Final = 7_000
"""Kafka takes the partitions from a consumer that is silent for so long: killed, or frozen. A
successor applies them once PostgreSQL has ended the frozen one's transaction."""


@dataclass(frozen=True)
class Subscription(Generic[T]):
    """A topic and the handler of its events.

    Attributes:
        topic: the topic.
        handle: applies events of one tenant, in order, inside the given transaction. It must be
            idempotent by natural key, and raises `InvalidInput` for events that cannot be handled.
        platform: whether the handler sees all tenants: a public observable may match the rules of
            each.
    """

    topic: Topic[T]
    handle: Callable[[Session, Sequence[Event[T]]], None]
    platform: bool = False


class Consumer:
    """Runs a service's subscriptions in one consumer group.

    Args:
        database: the service's database, which also stores the offsets.
        settings: name the cluster.
        subscriptions: at most one per topic.
    """

    def __init__(
        self, database: Database, settings: Settings, subscriptions: Sequence[Subscription[Any]]
    ) -> None:
        self.group = consumer_group(settings, database.service)
        self._database = database
        self._settings = settings
        self._subscriptions = {
            topic_name(settings, subscription.topic.name): subscription
            for subscription in subscriptions
        }
        self._decoders = {
            name: msgspec.json.Decoder(subscription.topic.payload)
            for name, subscription in self._subscriptions.items()
        }
        self._dlq_limit = DlqLimit()
        self._cluster = ""

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Consume until cancelled; survives rebalances and the loss of the database or of Kafka.

        Args:
            ready: called when the consumer has joined its group.

        Raises:
            DlqLimitExceeded: so many records cannot be handled that the handler must be broken.
        """
        while True:
            try:
                self._cluster = await offsets.cluster_id(self._settings)
                await self._consume(ready)
            except (KafkaError, Unavailable) as error:
                log.warning("consumer.waiting", reason=str(error))
                await asyncio.sleep(1.0)

    async def _consume(self, ready: Callable[[], None]) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            group_id=self.group,
            client_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=1_000,
            max_partition_fetch_bytes=2 * _BATCH_BYTES,
            fetch_max_wait_ms=250,
        )
        assignment = Assignment(partial(self._consume_partition, consumer))
        consumer.subscribe(list(self._subscriptions), listener=assignment)
        try:
            async with consumer:
                ready()
                await assignment.watch(consumer)
        finally:
            await assignment.close()

    async def _consume_partition(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition
    ) -> None:
        """Apply a partition's records from the offset in the database on, until cancelled."""
        last = await _retry(partition, partial(self._last_offset, partition))
        if last is not None:
            consumer.seek(partition, last + 1)
        while True:
            polled = await consumer.getmany(partition, timeout_ms=1000, max_records=_BATCH_RECORDS)
            for batch in _batches(polled.get(partition, [])):
                await _retry(partition, partial(self._commit_batch, partition, batch))
                await _commit_hint(consumer, partition, batch[-1].offset + 1)
                self._measure_lag(consumer, partition, batch[-1].offset + 1)

    def _measure_lag(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, next_offset: int
    ) -> None:
        if partition not in consumer.assignment():
            return
        highwater = consumer.highwater(partition) or 0
        labels = (self._database.service, partition.topic, str(partition.partition))
        CONSUMER_LAG.labels(*labels).set(max(0, highwater - next_offset))

    def _last_offset(self, partition: TopicPartition) -> int | None:
        stored = offsets.stored_offsets(self._database, self._cluster, self.group)
        return stored.get((partition.topic, partition.partition))

    def _commit_batch(self, partition: TopicPartition, batch: list[ConsumedRecord]) -> None:
        subscription = self._subscriptions[partition.topic]
        started = time.perf_counter()
        with self._database.transaction(PLATFORM) as session:
            row = offsets.OffsetRow(
                session, self._cluster, self.group, partition.topic, partition.partition
            )
            fresh = [record for record in batch if record.offset > row.last]
            self._apply(session, subscription, fresh)
            if fresh:
                set_tenant(session, self._database.service, PLATFORM)
                row.advance(fresh[-1].offset)
        topic = subscription.topic.name
        EVENTS_HANDLED.labels(self._database.service, topic).inc(len(fresh))
        EVENT_SECONDS.labels(self._database.service, topic).observe(time.perf_counter() - started)

    def _apply(
        self, session: Session, subscription: Subscription[Any], records: list[ConsumedRecord]
    ) -> None:
        events = list(self._parse(session, subscription, records))
        for tenant, group in groupby(events, key=lambda event: event.tenant):
            tenant_events = list(group)
            scope = PLATFORM if subscription.platform else tenant
            with _span(tenant_events[0]):
                error = self._attempt(session, subscription, tenant_events, scope)
            if error is None:
                continue
            # At least one event cannot be handled. Apply each by itself, and dead-letter those.
            for event in tenant_events:
                with _span(event):
                    error = self._attempt(session, subscription, [event], scope)
                    if error is not None:
                        self._dead_letter(session, subscription, event.record, error, tenant)

    def _parse(
        self, session: Session, subscription: Subscription[Any], records: list[ConsumedRecord]
    ) -> Iterator[Event[Any]]:
        for record in records:
            try:
                yield parse(subscription.topic, record, self._decoders[record.topic])
            except InvalidInput as error:
                self._dead_letter(session, subscription, record, error, PLATFORM)

    def _attempt(
        self,
        session: Session,
        subscription: Subscription[Any],
        events: list[Event[Any]],
        scope: str,
    ) -> Exception | None:
        """Apply events behind a savepoint; return the error if they cannot be handled at all."""
        structlog.contextvars.bind_contextvars(tenant=events[0].tenant, event=events[0].id)
        try:
            with session.begin_nested():
                set_tenant(session, self._database.service, scope)
                subscription.handle(session, events)
        except SentinelIQError as error:
            if error.retryable:
                raise Unavailable(error.message) from error
            return error
        except Exception as error:  # a handler's bug must not block the partition
            if is_transient(error):
                raise
            log.exception("consumer.handler_failed", topic=subscription.topic.name)
            return error
        return None

    def _dead_letter(
        self,
        session: Session,
        subscription: Subscription[Any],
        record: ConsumedRecord | None,
        error: Exception,
        tenant: str,
    ) -> None:
        if record is None:
            raise error
        self._dlq_limit.count(record, error)
        set_tenant(session, self._database.service, PLATFORM)
        dead_letter(
            session,
            record,
            f"{type(error).__name__}: {error}",
            tenant=tenant,
            topic=subscription.topic.name,
        )
        EVENTS_DEAD.labels(self._database.service, subscription.topic.name).inc()
        log.error(
            "consumer.dead_letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=str(error)[:_REASON_LENGTH],
        )


async def _retry(partition: TopicPartition, work: Callable[[], Result]) -> Result:
    """Run work in a thread; while the database is away, retry without end and skip nothing."""
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
                return await asyncio.to_thread(work)
            except Unavailable as error:
                log.warning("consumer.retrying", topic=partition.topic, reason=error.message)
                raise
    raise AssertionError("The retries have no end.")


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


def _span(event: Event[Any]) -> WorkSpan:
    return WorkSpan(f"process {event.topic.name}", event.traceparent, SpanKind.CONSUMER)


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
        batch.append(
            ConsumedRecord(
                record.topic,
                record.partition,
                record.offset,
                record.key,
                value,
                list(record.headers),
                record.timestamp,
            )
        )
        size += len(value)
    if batch:
        yield batch
