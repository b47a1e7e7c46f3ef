"""The consumer: a handler is one transaction, and the database, not Kafka, knows how far it came.

For each batch of a partition: take the partition's row (`consumer_offset`) FOR UPDATE, skip what is not newer, let the
handler apply the rest, move the row, commit. Kafka's own offsets are committed afterwards, as a hint for those who
watch the lag. A zombie consumer finds the row moved; a replayed offset finds it passed: neither changes anything.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Generic

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database, is_transient, set_tenant
from shared.errors import InvalidInput, SentinelIQError, Unavailable
from shared.events import MAX_EVENT_BYTES, ConsumedRecord, Event, Topic, parse
from shared.events.envelope import T
from shared.kafka import offsets
from shared.kafka.cluster import consumer_group
from shared.kafka.dlq_limit import DlqLimit
from shared.kafka.outbox import dead_letter
from shared.kafka.topics import topic_name
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import CONSUMER_LAG, EVENT_SECONDS, EVENTS_DEAD, EVENTS_HANDLED
from shared.telemetry.tracing import continue_trace

log = get_logger(__name__)

_BATCH_BYTES: Final = 4 * MAX_EVENT_BYTES
_BATCH_RECORDS: Final = 500


@dataclass(frozen=True)
class Subscription(Generic[T]):
    """A topic and what is done with its events.

    Attributes:
        topic: where the events come from.
        handle: applies events, in order, inside the transaction it is given; must be idempotent by natural key.
            It gets the events of one tenant at a time, and raises `InvalidInput` for an event that cannot be handled.
        platform: the handler sees all tenants (a public observable may concern everybody's rules).
    """

    topic: Topic[T]
    handle: Callable[[Session, Sequence[Event[T]]], None]
    platform: bool = False


class Consumer:
    """Runs a service's subscriptions in one consumer group.

    Args:
        database: the service's database; offsets are kept there.
        settings: where the cluster is.
        subscriptions: at most one per topic.
    """

    def __init__(
        self, database: Database, settings: Settings, subscriptions: Sequence[Subscription[Any]]
    ) -> None:
        self.group = consumer_group(settings, database.service)
        self._database = database
        self._settings = settings
        self._subscriptions = {topic_name(settings, s.topic.name): s for s in subscriptions}
        self._decoders = {
            name: msgspec.json.Decoder(s.topic.payload) for name, s in self._subscriptions.items()
        }
        self._gate = DlqLimit()
        self._cluster = ""

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Consume until cancelled; survives rebalances and a lost database or log.

        Args:
            ready: called when the group has been joined.

        Raises:
            DlqLimitExceeded: so many records cannot be handled that going on would bury good ones.
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
            max_poll_interval_ms=300_000,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            max_partition_fetch_bytes=2 * _BATCH_BYTES,
            fetch_max_wait_ms=250,
        )
        consumer.subscribe(list(self._subscriptions), listener=_SeekToTruth(consumer, self))
        async with consumer:
            ready()
            while True:
                batches = await consumer.getmany(timeout_ms=1000, max_records=_BATCH_RECORDS)
                # Side by side: while one transaction waits for the database, another one computes.
                await asyncio.gather(
                    *(self._handle_partition(consumer, *batch) for batch in batches.items())
                )

    async def _handle_partition(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, records: list[ConsumerRecord]
    ) -> None:
        for batch in _cut(records):
            await self._until_committed(partition, batch)
            try:
                await consumer.commit({partition: batch[-1].offset + 1})
            except (CommitFailedError, IllegalStateError):
                # Somebody else owns the partition now; the row in the database keeps both of us right.
                log.info(
                    "consumer.superseded", topic=partition.topic, partition=partition.partition
                )
                return
        highwater = consumer.highwater(partition) or 0
        labels = (self._database.service, partition.topic, str(partition.partition))
        CONSUMER_LAG.labels(*labels).set(max(0, highwater - records[-1].offset - 1))

    async def _until_committed(
        self, partition: TopicPartition, batch: list[ConsumedRecord]
    ) -> None:
        pause = 0.2
        while True:
            try:
                await asyncio.to_thread(self._commit_batch, partition, batch)
            except Unavailable as error:
                log.warning("consumer.retrying", topic=partition.topic, reason=error.message)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
                pause = min(pause * 2, 5.0)
            else:
                return

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
            together = list(group)
            scope = PLATFORM if subscription.platform else tenant
            if self._attempt(session, subscription, together, scope) is None:
                continue
            # One of them cannot be handled: find it, bury it, and let the others go on.
            for event in together:
                error = self._attempt(session, subscription, [event], scope)
                if error is not None:
                    self._bury(session, subscription, event.record, error, tenant)

    def _parse(
        self, session: Session, subscription: Subscription[Any], records: list[ConsumedRecord]
    ) -> Iterator[Event[Any]]:
        for record in records:
            try:
                yield parse(subscription.topic, record, self._decoders[record.topic])
            except InvalidInput as error:
                self._bury(session, subscription, record, error, PLATFORM)

    def _attempt(
        self,
        session: Session,
        subscription: Subscription[Any],
        events: list[Event[Any]],
        scope: str,
    ) -> Exception | None:
        """Apply events behind a savepoint; the error, if they cannot be handled at all."""
        continue_trace(events[0].traceparent)
        structlog.contextvars.bind_contextvars(tenant=events[0].tenant, event=events[0].id)
        try:
            with session.begin_nested():
                set_tenant(session, self._database.service, scope)
                subscription.handle(session, events)
        except SentinelIQError as error:
            if error.retryable:
                raise Unavailable(error.message) from error
            return error
        except Exception as error:  # a bug in a handler must not stop the partition for ever
            if is_transient(error):
                raise
            log.exception("consumer.handler_failed", topic=subscription.topic.name)
            return error
        return None

    def _bury(
        self,
        session: Session,
        subscription: Subscription[Any],
        record: ConsumedRecord | None,
        error: Exception,
        tenant: str,
    ) -> None:
        if record is None:
            raise error
        self._gate.count(record, error)
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
            reason=str(error),
        )

    async def start_positions(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> None:
        """Seek newly assigned partitions to where the database says they are."""
        stored = await asyncio.to_thread(
            offsets.stored_offsets, self._database, self._cluster, self.group
        )
        for partition in partitions:
            last = stored.get((partition.topic, partition.partition))
            if last is not None:
                consumer.seek(partition, last + 1)


class _SeekToTruth(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, consumer: AIOKafkaConsumer, owner: Consumer) -> None:
        self._consumer = consumer
        self._owner = owner

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing to hand over: whatever is in flight is fenced by the offset row."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._owner.start_positions(self._consumer, sorted(assigned))


def _cut(records: list[ConsumerRecord]) -> Iterator[list[ConsumedRecord]]:
    """Batches of a few megabytes: one transaction each."""
    batch: list[ConsumedRecord] = []
    size = 0
    for record in records:
        value = record.value or b""
        if batch and size + len(value) > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(
            ConsumedRecord(
                record.topic,
                record.partition,
                record.offset,
                record.key,
                value,
                list(record.headers),
            )
        )
        size += len(value)
    if batch:
        yield batch
