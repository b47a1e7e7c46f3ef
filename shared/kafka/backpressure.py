"""A bound on what one publisher has under way: records that the consumers of a topic have not handled yet.

Consumers commit Kafka's offsets after the transaction that handled a record, so the group's offsets tell how far the
truth has come. Whoever publishes in bulk waits for them, and what others publish meanwhile waits behind a few seconds
of work and not behind a million rows.
"""

import asyncio
from collections import Counter
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.errors import Unavailable
from shared.kafka.cluster import consumer_group
from shared.settings import Settings

_LOOK_AGAIN: Final = 0.1
_PATIENCE: Final = 60.0
"""Seconds without any progress of the consumers after which a publisher gives up for now."""


class Backpressure:
    """Records under way between one publisher and one service's consumers.

    Args:
        settings: where the cluster is.
        service: the service whose consumers are waited for.
        size: records that may be under way.
    """

    def __init__(self, settings: Settings, service: str, size: int) -> None:
        self._group = consumer_group(settings, service)
        self._admin = AIOKafkaAdminClient(
            bootstrap_servers=settings.kafka_bootstrap_servers, client_id="sentineliq-backpressure"
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
        if self._started:
            await self._admin.close()

    def track(self, acknowledgement: asyncio.Future[Any]) -> None:
        """Count a record; a publisher's `send` returns its acknowledgement."""
        self._sent.append(acknowledgement)

    async def wait_for_capacity(self) -> None:
        """Wait until another record may be sent.

        Raises:
            Unavailable: the consumers stand still.
        """
        if len(self._sent) < self._size:
            return
        moved, before = monotonic(), len(self._sent)
        while True:
            await self._forget_handled()
            # Half of it at least, so that the group is not asked for every single record.
            if len(self._sent) <= self._size // 2:
                return
            if len(self._sent) < before:
                moved, before = monotonic(), len(self._sent)
            if monotonic() - moved > _PATIENCE:
                raise Unavailable(
                    f"The consumers of the group {self._group} do not keep up: {len(self._sent)} chunks wait. "
                    "The run goes on when they do."
                )
            await asyncio.sleep(_LOOK_AGAIN)

    async def _forget_handled(self) -> None:
        done = [future for future in self._sent if future.done()]
        if not done:
            return
        try:
            if not self._started:
                await self._admin.start()
                self._started = True
            committed = await self._admin.list_consumer_group_offsets(self._group)
        except KafkaError as error:
            raise Unavailable("Kafka does not tell how far its consumers are.") from error
        handled: Counter[TopicPartition] = Counter(
            {place: found.offset for place, found in committed.items()}
        )
        # A send that failed is the publisher's to report.
        self._sent = [one for one in self._sent if not (one.done() and _is_handled(one, handled))]


def _is_handled(acknowledgement: asyncio.Future[Any], handled: Counter[TopicPartition]) -> bool:
    if acknowledgement.cancelled() or acknowledgement.exception() is not None:
        return True
    record = acknowledgement.result()
    return bool(record.offset < handled[TopicPartition(record.topic, record.partition)])
