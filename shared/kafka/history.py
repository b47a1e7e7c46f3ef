"""Reads the past of a topic: its events from a time up to the present end, without a group."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import InvalidInput, Unavailable
from shared.events import ConsumedRecord, Event, Topic, parse
from shared.events.envelope import T
from shared.kafka.cluster import REQUEST_MS, administrator
from shared.kafka.topics import topic_name
from shared.settings import Settings

_TIMEOUT_MS: Final = 10_000
_CLIENT: Final = "sentineliq-history"

_Offsets = dict[TopicPartition, int]


async def read_since(
    settings: Settings, topic: Topic[T], since: datetime, tenant: str | None = None
) -> AsyncIterator[Event[T]]:
    """Read the events of a topic since a time, in order within each partition.

    With a tenant, only its events are read: the others are left out by their headers, unparsed.

    Reading stops at the offsets that were the topic's ends when it began. Records that are not
    events of the topic are skipped: their consumers dead-letter them.

    Raises:
        Unavailable: Kafka does not answer.
    """
    name = topic_name(settings, topic.name)
    try:
        partitions = await _partitions(settings, name)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            client_id=_CLIENT,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=REQUEST_MS,
        )
        consumer.assign(partitions)
        async with consumer:
            ends = await _seek_to_time(consumer, partitions, since)
            async for event in _read(consumer, topic, ends, tenant):
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


async def _read(
    consumer: AIOKafkaConsumer, topic: Topic[T], ends: _Offsets, tenant: str | None
) -> AsyncIterator[Event[T]]:
    decoder = msgspec.json.Decoder(topic.payload)
    owner = None if tenant is None else ("ce_tenant", tenant.encode())
    while ends:
        batches = await consumer.getmany(timeout_ms=_TIMEOUT_MS, max_records=500)
        if not batches:
            raise Unavailable(f"Kafka does not answer with all of the past of {topic.name}.")
        for partition, records in batches.items():
            end = ends.get(partition, 0)
            for record in records:
                if record.offset >= end:
                    break
                if owner is not None and owner not in record.headers:
                    continue
                try:
                    yield parse(topic, _consumed(record), decoder)
                except InvalidInput:
                    continue
            # The position also passes offsets without a record: transaction markers, and records
            # that compaction has removed.
            if partition in ends and await consumer.position(partition) >= end:
                del ends[partition]
                consumer.pause(partition)


def _consumed(record: ConsumerRecord) -> ConsumedRecord:
    headers = list(record.headers)
    return ConsumedRecord(
        record.topic, record.partition, record.offset, record.key, record.value or b"", headers
    )
