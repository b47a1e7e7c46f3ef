"""A limit on what one publisher has in flight: records that consumers have not handled yet.

Consumers commit Kafka's offsets after the transaction that handled a record, so the group's offsets
tell how far handling has come. A bulk publisher waits for them: events of other publishers then
queue behind a few seconds of work, not behind a million rows.

Before it sends anything, a publisher looks whether the group reads at all: where nobody reads, each
attempt would only add the same records again.
"""

import asyncio
from collections import Counter
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.errors import Unavailable
from shared.kafka.clients import close_client, running
from shared.kafka.cluster import REQUEST_MS, client_options, consumer_group
from shared.kafka.topics import topic_name
from shared.settings import Settings

_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10.0
_PATIENCE_SECONDS: Final = 60.0
"""The longest wait without progress of the consumers."""


class Backpressure:
    """Limits the records in flight between one publisher and the consumers of one service.

    Args:
        settings: name the cluster.
        service: the service whose consumers must keep up.
        topic: the topic's name in the catalogue.
        size: the limit, in records.
    """

    def __init__(self, settings: Settings, service: str, topic: str, size: int) -> None:
        self._settings = settings
        self._topic = topic_name(settings, topic)
        self._group = consumer_group(settings, service)
        self._admin = AIOKafkaAdminClient(
            **client_options(settings),
            client_id="sentineliq-backpressure",
            request_timeout_ms=REQUEST_MS,
        )
        self._size = size
        self._sent: list[asyncio.Future[Any]] = []
        self._started = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await close_client(self._admin)

    def track(self, acknowledgement: asyncio.Future[Any]) -> None:
        """Count a record.

        Args:
            acknowledgement: the future that `Publisher.send` returned.
        """
        self._sent.append(acknowledgement)

    async def wait_for_readers(self) -> None:
        """Wait until few records are before the consumers, or they have handled one of them.

        Raises:
            Unavailable: they handle nothing; nothing was sent.
        """
        start = monotonic()
        committed = await self._committed()
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            client_id="sentineliq-backpressure",
        )
        try:
            (topic,) = await self._admin.describe_topics([self._topic])
            partitions = [
                TopicPartition(self._topic, partition["partition"])
                for partition in topic["partitions"]
            ]
            async with running(consumer):
                begins = await consumer.beginning_offsets(partitions)
                ends = await consumer.end_offsets(partitions)
        except KafkaError as error:
            raise Unavailable("Kafka does not answer with the offsets of its topics.") from error
        waiting = sum(
            ends[partition] - max(begins[partition], committed[partition])
            for partition in partitions
        )
        first = sum(committed[partition] for partition in partitions)
        while waiting >= self._size:
            if sum(committed[partition] for partition in partitions) > first:
                return
            if monotonic() - start > _PATIENCE_SECONDS:
                raise Unavailable(
                    f"The consumers of the group {self._group} do not read: {waiting:,} chunks "
                    "wait. Nothing was sent; the run goes on when they do."
                )
            await asyncio.sleep(_POLL_SECONDS)
            committed = await self._committed()

    async def wait_for_capacity(self) -> None:
        """Wait until another record may be sent.

        Raises:
            Unavailable: the consumers make no progress.
        """
        if len(self._sent) < self._size:
            return
        last_progress = monotonic()
        waiting = len(self._sent)
        while True:
            await self._forget_handled()
            # Wait until half of the limit is free: one query of the group then serves many records.
            if len(self._sent) <= self._size // 2:
                return
            if len(self._sent) < waiting:
                last_progress = monotonic()
                waiting = len(self._sent)
            if monotonic() - last_progress > _PATIENCE_SECONDS:
                raise Unavailable(
                    f"The consumers of the group {self._group} do not keep up: "
                    f"{waiting} chunks wait. The run goes on when they do."
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _committed(self) -> Counter[TopicPartition]:
        """The group's offsets; 0 where it has none."""
        start = monotonic()
        while True:
            try:
                if not self._started:
                    await self._admin.start()
                    self._started = True
                committed = await self._admin.list_consumer_group_offsets(self._group)
            except KafkaError as error:
                # A group is known when its first member comes, which may be this moment.
                if error.retriable and monotonic() - start < _ANSWER_SECONDS:
                    await asyncio.sleep(_POLL_SECONDS)
                    continue
                raise Unavailable(
                    "Kafka does not answer with the offsets of its consumers."
                ) from error
            offsets = {partition: position.offset for partition, position in committed.items()}
            return Counter(offsets)

    async def _forget_handled(self) -> None:
        done = [future for future in self._sent if future.done()]
        if not done:
            return
        handled = await self._committed()
        self._sent = [
            acknowledgement
            for acknowledgement in self._sent
            if not (acknowledgement.done() and _is_handled(acknowledgement, handled))
        ]


def _is_handled(acknowledgement: asyncio.Future[Any], handled: Counter[TopicPartition]) -> bool:
    # The publisher reports a send that failed; it is no longer in flight.
    if acknowledgement.cancelled() or acknowledgement.exception() is not None:
        return True
    record = acknowledgement.result()
    return bool(record.offset < handled[TopicPartition(record.topic, record.partition)])
