"""Reads the past of a topic: its events from a time up to the present end, without a group."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Final, Generic

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import InvalidInput, Unavailable
from shared.events import ConsumedRecord, Event, Topic, parse
from shared.events.envelope import T
from shared.events.signature import EventVerifier
from shared.kafka.clients import running
from shared.kafka.cluster import REQUEST_MS, administrator, client_options
from shared.kafka.topics import topic_name
from shared.settings import Settings

_TIMEOUT_MS: Final = 10_000
_CLIENT: Final = "sentineliq-history"

_Offsets = dict[TopicPartition, int]


async def read_since(
    settings: Settings,
    topic: Topic[T],
    since: datetime,
    tenant: str | None = None,
    unsigned_until: int = 0,
) -> AsyncIterator[Event[T]]:
    """Read the events of a topic since a time, in order within each partition.

    With a tenant, only its events are read: the others are left out by their headers, unparsed.
    Records without the signature of the service that may send them are left out, but for those from
    before `unsigned_until` (`shared.kafka.offsets.unsigned_until`).

    Reading stops at the offsets that were the topic's ends when it began. Records that are not
    events of the topic are skipped: their consumers dead-letter them.

    Raises:
        Unavailable: Kafka does not answer.
    """
    name = topic_name(settings, topic.name)
    try:
        partitions = await _partitions(settings, name)
        consumer = AIOKafkaConsumer(
            **client_options(settings),
            client_id=_CLIENT,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=REQUEST_MS,
        )
        consumer.assign(partitions)
        async with running(consumer):
            ends = await _seek_to_time(consumer, partitions, since)
            reader = _Reader(settings, topic, tenant, unsigned_until)
            async for event in reader.read(consumer, ends):
                yield event
    except KafkaError as error:
        raise Unavailable(f"Kafka does not answer with the past of {topic.name}.") from error


async def _partitions(settings: Settings, name: str) -> list[TopicPartition]:
    async with administrator(settings) as admin:
        (description,) = await admin.describe_topics([name])
    return [TopicPartition(name, partition["partition"]) for partition in description["partitions"]]


async def _seek_to_time(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], since: datetime
) -> _Offsets:
    """Seek each partition to a time; return the ends of those that have records since then."""
    ends = await consumer.end_offsets(partitions)
    milliseconds = int(since.timestamp() * 1000)
    starts = await consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
    open_ends = {}
    for partition in partitions:
        end = ends[partition]
        start = starts[partition].offset if starts[partition] is not None else end
        consumer.seek(partition, start)
        if start < end:
            open_ends[partition] = end
        else:
            consumer.pause(partition)
    return open_ends


class _Reader(Generic[T]):
    """Reads a topic's events up to given ends."""

    def __init__(
        self, settings: Settings, topic: Topic[T], tenant: str | None, unsigned_until: int
    ) -> None:
        self._topic = topic
        self._owner = None if tenant is None else ("ce_tenant", tenant.encode())
        self._unsigned_until = unsigned_until
        self._verifier = EventVerifier(settings)
        self._decoder = msgspec.json.Decoder(topic.payload)

    async def read(self, consumer: AIOKafkaConsumer, ends: _Offsets) -> AsyncIterator[Event[T]]:
        """Read until each partition's end; `ends` is empty then."""
        while ends:
            batches = await consumer.getmany(timeout_ms=_TIMEOUT_MS, max_records=500)
            if not batches:
                raise Unavailable(
                    f"Kafka does not answer with all of the past of {self._topic.name}."
                )
            for partition, records in batches.items():
                end = ends.get(partition, 0)
                for event in self._events(record for record in records if record.offset < end):
                    yield event
                # The position also passes offsets without a record: transaction markers, and
                # records that compaction has removed.
                if partition in ends and await consumer.position(partition) >= end:
                    del ends[partition]
                    consumer.pause(partition)

    def _events(self, records: Iterable[ConsumerRecord]) -> Iterator[Event[T]]:
        for record in records:
            if self._owner is not None and self._owner not in record.headers:
                continue
            consumed = _consumed(record)
            try:
                self._verifier.verify(self._topic, consumed, self._unsigned_until)
                yield parse(self._topic, consumed, self._decoder)
            except InvalidInput:
                continue


def _consumed(record: ConsumerRecord) -> ConsumedRecord:
    headers = list(record.headers)
    return ConsumedRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value or b"",
        headers,
        record.timestamp,
    )
