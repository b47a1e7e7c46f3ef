"""Whether a record may still wait in a log: how far a service's rows are, and where the log ends.

The rows in `consumer_offset` count, and not what consumers have committed to Kafka as a hint.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.kafka.clients import running
from shared.kafka.cluster import REQUEST_MS, administrator, client_options, consumer_group
from shared.kafka.offsets import OFFSETS, PartitionKey
from shared.kafka.topics import topic_name
from shared.settings import Settings

_ANSWER_SECONDS: Final = 10.0
_CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far the clocks of brokers and of PostgreSQL may differ."""


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far a partition is applied.

    Attributes:
        unread: the number of records behind the last one that was applied.
        timestamp: of that one, in milliseconds since 1970; None if it is not known.
    """

    partition: int
    unread: int
    timestamp: int | None

    def may_hold(self, moment: datetime) -> bool:
        """Whether a record that was appended before a moment may be unread."""
        if not self.unread:
            return False
        latest = (moment + _CLOCK_SKEW).timestamp() * 1000
        return self.timestamp is None or self.timestamp < latest


def may_wait(progress: Iterable[PartitionProgress], moment: datetime) -> bool:
    """Whether a record that was appended to a topic before a moment may be unread."""
    return any(partition.may_hold(moment) for partition in progress)


def read_progress(database: Database, settings: Settings, topic: str) -> list[PartitionProgress]:
    """How far a service has applied each partition of a topic.

    Args:
        database: the service's.
        settings: name the cluster.
        topic: the topic's name in the catalogue.

    Raises:
        Unavailable: Kafka or the database does not answer.
    """
    try:
        cluster, bounds = asyncio.run(_read_bounds(settings, topic_name(settings, topic)))
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(f"Kafka does not answer with the offsets of {topic}.") from error
    rows = _read_rows(database, settings, cluster, topic_name(settings, topic))
    progress = []
    for partition, (start, end) in sorted(bounds.items()):
        last, timestamp = rows.get(partition, (-1, None))
        unread = max(0, end - max(start, last + 1))
        progress.append(PartitionProgress(partition, unread, timestamp))
    return progress


async def _read_bounds(settings: Settings, name: str) -> tuple[str, dict[int, tuple[int, int]]]:
    """The cluster's id, and by partition the first offset and the one behind the last."""
    async with asyncio.timeout(_ANSWER_SECONDS), administrator(settings) as admin:
        cluster = str((await admin.describe_cluster())["cluster_id"])
        (description,) = await admin.describe_topics([name])
        partitions = [
            TopicPartition(name, partition["partition"]) for partition in description["partitions"]
        ]
        consumer = AIOKafkaConsumer(
            **client_options(settings),
            client_id="sentineliq-progress",
            request_timeout_ms=REQUEST_MS,
        )
        async with running(consumer):
            starts = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
    return cluster, {item.partition: (starts[item], ends[item]) for item in partitions}


def _read_rows(
    database: Database, settings: Settings, cluster: str, name: str
) -> dict[int, tuple[int, int | None]]:
    """By partition the last applied offset, and its record's timestamp."""
    key = PartitionKey(cluster, consumer_group(settings, database.service), name, 0).values()
    query = sa.select(OFFSETS.c.partition, OFFSETS.c.last_offset, OFFSETS.c.last_timestamp).where(
        OFFSETS.c.consumer_group == key["consumer_group"], OFFSETS.c.topic == key["topic"]
    )
    with database.transaction(PLATFORM) as session:
        return {
            row.partition: (row.last_offset, row.last_timestamp) for row in session.execute(query)
        }
