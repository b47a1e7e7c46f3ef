"""The publisher: an idempotent producer with a limit of unacknowledged records."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.errors import Unavailable
from shared.events import MAX_EVENT_BYTES, Event, Headers
from shared.events.signature import EventSigner
from shared.kafka.clients import close_client
from shared.kafka.cluster import REQUEST_MS, client_options
from shared.kafka.topics import topic_name
from shared.settings import Settings


class Publisher:
    """Sends records in order; all in-sync replicas acknowledge each.

    Args:
        settings: name the cluster.
        signer: the service whose key signs events, or `OPERATOR`.
        in_flight: the number of unacknowledged records at which `send` waits.
    """

    def __init__(self, settings: Settings, signer: str, in_flight: int = 64) -> None:
        self._settings = settings
        self.signer = EventSigner(settings, signer)
        self._in_flight = in_flight
        self._pending: deque[asyncio.Future[Any]] = deque()
        self._producer = AIOKafkaProducer(
            **client_options(settings),
            client_id="sentineliq",
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            linger_ms=2,
            max_batch_size=2 * MAX_EVENT_BYTES,
            max_request_size=4 * MAX_EVENT_BYTES,
            request_timeout_ms=REQUEST_MS,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except BaseException as error:
            # Also after a cancellation: it has connections by now.
            await close_client(self._producer)
            if isinstance(error, KafkaError):
                raise Unavailable("Kafka does not answer; nothing was published.") from error
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await close_client(self._producer)
        # A failed send was raised already. Retrieve the other errors, or asyncio warns of them.
        for future in self._pending:
            if future.done() and not future.cancelled():
                future.exception()

    async def publish(self, event: Event[Any]) -> asyncio.Future[Any]:
        """Sign and send one event; return a future of its acknowledgement.

        Raises:
            Unavailable: the cluster did not accept this record or an earlier one in time.
        """
        topic = event.topic.name
        payload = event.payload()
        headers = self.signer.sign(topic, event.key, payload, event.headers())
        return await self.send(topic, event.key, payload, headers)

    async def send(
        self, topic: str, key: bytes | None, value: bytes, headers: Headers
    ) -> asyncio.Future[Any]:
        """Send one record as it is.

        Args:
            topic: its name in the catalogue.
            key: decides the partition.
            value: the payload.
            headers: the record's headers.

        Returns:
            A future of its acknowledgement, with partition and offset.

        Raises:
            Unavailable: the cluster did not accept this record or an earlier one in time.
        """
        while len(self._pending) >= self._in_flight:
            await self._acknowledged(self._pending.popleft())
        try:
            sent: asyncio.Future[Any] = await self._producer.send(
                topic_name(self._settings, topic), value=value, key=key, headers=headers
            )
        except KafkaError as error:
            raise Unavailable(f"Kafka does not accept records for {topic}.") from error
        self._pending.append(sent)
        return sent

    async def flush(self) -> None:
        """Wait until all records are acknowledged.

        Raises:
            Unavailable: one was not.
        """
        while self._pending:
            await self._acknowledged(self._pending.popleft())

    async def _acknowledged(self, future: asyncio.Future[Any]) -> None:
        try:
            await future
        except KafkaError as error:
            raise Unavailable("Kafka did not acknowledge a record in time.") from error
