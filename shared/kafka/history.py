"""Reading a topic's past: what was said since a moment, up to the present end. No group, no offsets kept."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import InvalidInput, Unavailable
from shared.events import ConsumedRecord, Event, Topic, parse
from shared.events.envelope import T
from shared.kafka.cluster import administrator
from shared.kafka.topics import topic_name
from shared.settings import Settings

_PATIENCE_MS: Final = 10_000
_CLIENT: Final = "sentineliq-history"


async def read_since(
    settings: Settings, topic: Topic[T], since: datetime
) -> AsyncIterator[Event[T]]:
    """The events of a topic since a moment, in order within each partition; it ends where the topic ended at first.

    Records that are no events of the topic are passed over: whoever handles them buries them.

    Raises:
        Unavailable: the log does not answer.
    """
    name = topic_name(settings, topic.name)
    try:
        places = await _partitions(settings, name)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            client_id=_CLIENT,
            enable_auto_commit=False,
            auto_offset_reset="none",
        )
        consumer.assign(places)
        async with consumer:
            async for event in _read(consumer, topic, name, await _spans(consumer, places, since)):
                yield event
    except KafkaError as error:
        raise Unavailable(f"Kafka does not tell what was on {topic.name}.") from error


async def _partitions(settings: Settings, name: str) -> list[TopicPartition]:
    async with administrator(settings) as admin:
        (described,) = await admin.describe_topics([name])
    return [TopicPartition(name, one["partition"]) for one in described["partitions"]]


async def _read(
    consumer: AIOKafkaConsumer, topic: Topic[T], name: str, left: dict[TopicPartition, int]
) -> AsyncIterator[Event[T]]:
    decoder = msgspec.json.Decoder(topic.payload)
    while left:
        batches = await consumer.getmany(timeout_ms=_PATIENCE_MS, max_records=500)
        if not batches:
            raise Unavailable(f"Kafka does not tell all of what was on {topic.name}.")
        for place, records in batches.items():
            for record in records:
                if place in left and record.offset < left[place]:
                    headers = list(record.headers)
                    read = ConsumedRecord(
                        name, place.partition, record.offset, record.key, record.value, headers
                    )
                    try:
                        yield parse(topic, read, decoder)
                    except InvalidInput:
                        continue
            # The position counts what is no record too: marks of transactions, what compaction took.
            if place in left and await consumer.position(place) >= left[place]:
                del left[place]
                consumer.pause(place)


async def _spans(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], since: datetime
) -> dict[TopicPartition, int]:
    """Begin at the moment in every partition; the end of each partition that has something since then."""
    ends = await consumer.end_offsets(places)
    starts = await consumer.offsets_for_times(
        {place: int(since.timestamp() * 1000) for place in places}
    )
    left = {}
    for place in places:
        start = starts[place].offset if starts[place] is not None else ends[place]
        consumer.seek(place, start)
        if start < ends[place]:
            left[place] = ends[place]
        else:
            consumer.pause(place)
    return left
