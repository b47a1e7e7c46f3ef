"""Reads topics without a consumer group, so that no offsets change."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from shared.errors import InvalidInput, Unavailable
from shared.events import CATALOGUE, Headers
from shared.kafka.clients import close_client
from shared.kafka.cluster import client_options
from shared.kafka.topics import topic_name
from shared.settings import Settings

_CONNECT_WITHIN: Final = 10.0


@dataclass(frozen=True)
class TopicRecord:
    """One record of a topic.

    Attributes:
        topic: the name in the catalogue, without the installation's prefix.
        time: when it was written (ISO 8601, UTC).
    """

    topic: str
    partition: int
    offset: int
    time: str
    key: bytes | None
    value: bytes
    headers: Headers

    @property
    def id(self) -> str:
        """Where it is: `topic/partition/offset`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def key_text(self) -> str | None:
        """The key as text."""
        return None if self.key is None else self.key.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """The last header of a name, as text."""
        values = [value for key, value in self.headers if key == name]
        return values[-1].decode("utf-8", "replace") if values else None

    def payload(self) -> Any:
        """The value decoded from JSON; as text when it is no JSON."""
        try:
            return msgspec.json.decode(self.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.value.decode("utf-8", "replace")

    def as_dict(self) -> dict[str, Any]:
        """The record for programs."""
        headers = {name: value.decode("utf-8", "replace") for name, value in self.headers}
        return {
            "id": self.id,
            "time": self.time,
            "key": self.key_text,
            "headers": headers,
            "data": self.payload(),
        }


def require_topic(name: str) -> str:
    """The name of a topic of the catalogue, or of its dead letters.

    Raises:
        InvalidInput: there is no such topic; the message names those there are.
    """
    topics = [topic.name for topic in CATALOGUE]
    if name.removesuffix(".dead") not in topics:
        raise InvalidInput(
            f"there is no topic {name!r}; there are {', '.join(topics)}, each with .dead"
        )
    return name


@asynccontextmanager
async def open_reader(settings: Settings, topics: Sequence[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of all partitions of some topics.

    Raises:
        Unavailable: Kafka does not answer, or a topic has not been created.
    """
    names = [topic_name(settings, topic) for topic in topics]
    # Without a group a subscription is all partitions, at once.
    consumer = AIOKafkaConsumer(
        *names,
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        async with asyncio.timeout(_CONNECT_WITHIN):
            await consumer.start()
        yield consumer
    except UnknownTopicOrPartitionError as error:
        raise Unavailable(
            f"{', '.join(names)} has not been created: run the services' migrations"
        ) from error
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(
            f"Kafka does not answer at {settings.kafka_bootstrap_servers}: {error}"
        ) from error
    finally:
        await close_client(consumer)


async def read_topics(settings: Settings, topics: Sequence[str]) -> list[TopicRecord]:
    """All records of some topics, topic by topic, the oldest first."""
    async with open_reader(settings, topics) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        begins = await consumer.beginning_offsets(consumer.assignment())
        unread = {partition for partition, end in ends.items() if begins[partition] < end}
        records: list[TopicRecord] = []
        while unread:
            batches = await consumer.getmany(*unread, timeout_ms=1000)
            for batch in batches.values():
                records += [topic_record(settings, record) for record in batch]
            unread = {
                partition
                for partition in unread
                if await consumer.position(partition) < ends[partition]
            }
    return sorted(
        records, key=lambda record: (topics.index(record.topic), record.partition, record.offset)
    )


def topic_record(settings: Settings, record: Any) -> TopicRecord:
    """A record of aiokafka's as a `TopicRecord`."""
    time = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    return TopicRecord(
        topic=record.topic.removeprefix(settings.kafka_topic_prefix),
        partition=record.partition,
        offset=record.offset,
        time=time,
        key=record.key,
        value=record.value or b"",
        headers=list(record.headers),
    )
