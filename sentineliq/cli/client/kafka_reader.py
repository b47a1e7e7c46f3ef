"""Reading topics as an onlooker: in no consumer group, moving nobody's offsets."""

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
from shared.kafka.topics import topic_name
from shared.settings import Settings

_WITHIN: Final = 10.0


@dataclass(frozen=True)
class TopicRecord:
    """One record, as it is in the log.

    Attributes:
        topic: the name in the catalogue, without the installation's prefix.
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

    def header(self, name: str) -> str | None:
        """The last header of a name, as text."""
        found = [value.decode("utf-8", "replace") for key, value in self.headers if key == name]
        return found[-1] if found else None

    def payload(self) -> Any:
        """The value decoded from JSON; as text when it is none."""
        try:
            return msgspec.json.decode(self.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.value.decode("utf-8", "replace")

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        headers = {name: value.decode("utf-8", "replace") for name, value in self.headers}
        key = None if self.key is None else self.key.decode("utf-8", "replace")
        return {
            "id": self.id,
            "time": self.time,
            "key": key,
            "headers": headers,
            "data": self.payload(),
        }


def known_topic(name: str) -> str:
    """A topic's name, when there is such a topic.

    Raises:
        InvalidInput: there is none; says which there are.
    """
    known = [topic.name for topic in CATALOGUE] + [topic.dead for topic in CATALOGUE]
    if name not in known:
        raise InvalidInput(
            f"there is no topic {name!r}; there are {', '.join(known[: len(CATALOGUE)])}, each with .dead"
        )
    return name


@asynccontextmanager
async def reader(settings: Settings, topics: Sequence[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of all partitions of some topics.

    Raises:
        Unavailable: Kafka does not answer, or a topic has not been made.
    """
    names = [topic_name(settings, topic) for topic in topics]
    # Without a group a subscription is all partitions, at once.
    consumer = AIOKafkaConsumer(
        *names,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        async with asyncio.timeout(_WITHIN):
            await consumer.start()
        yield consumer
    except UnknownTopicOrPartitionError as error:
        raise Unavailable(
            f"{', '.join(names)} has not been made: run the services' migrations"
        ) from error
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(
            f"Kafka does not answer at {settings.kafka_bootstrap_servers}: {error}"
        ) from error
    finally:
        await consumer.stop()


async def read_all(settings: Settings, topics: Sequence[str]) -> list[TopicRecord]:
    """Everything that is in some topics now, topic by topic, oldest first."""
    async with reader(settings, topics) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        begins = await consumer.beginning_offsets(consumer.assignment())
        left = {part for part, end in ends.items() if begins[part] < end}
        found: list[TopicRecord] = []
        while left:
            batches = await consumer.getmany(*left, timeout_ms=1000)
            found += [entry(settings, record) for records in batches.values() for record in records]
            left = {part for part in left if await consumer.position(part) < ends[part]}
    return sorted(found, key=lambda one: (topics.index(one.topic), one.partition, one.offset))


def entry(settings: Settings, record: Any) -> TopicRecord:
    """A record of aiokafka's as ours."""
    time = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    topic = record.topic.removeprefix(settings.kafka_topic_prefix)
    headers = list(record.headers)
    return TopicRecord(
        topic, record.partition, record.offset, time, record.key, record.value or b"", headers
    )
