"""The relay's producer: it tells refused records from an outage, and falls silent at once."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

from aiokafka import errors
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.protocol.produce import ProduceRequest

from shared.errors import SentinelIQError, Unavailable
from shared.events import Headers
from shared.kafka.producer import Publisher
from shared.kafka.topics import topic_name
from shared.settings import Settings

_LOOKS: Final = 5
_PAUSE_SECONDS: Final = 0.2
_CLOSE_SECONDS: Final = 5.0


class RecordRefused(SentinelIQError):
    """Kafka does not take a record for what it is, or where it goes to; the message says why."""

    code = "record-refused"


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka is untyped
    """The broker's INVALID_RECORD, for instance a record without a key on a compacted topic."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker refuses the record."


errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)

_REFUSALS: Final = (
    InvalidRecordError,
    errors.InvalidTimestampError,
    errors.InvalidTopicError,
    errors.MessageSizeTooLargeError,
    errors.PolicyViolationError,
    errors.RecordListTooLargeError,
    errors.TopicAuthorizationFailedError,
    errors.UnknownTopicOrPartitionError,
)


class _MaySendNoMore(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """Another relay may publish by now."""

    retriable = False


class RelayProducer(Publisher):
    """A publisher that writes to a socket only while it may, and drops what it has on an error.

    aiokafka's own end of a producer sends first what is pending. A relay that has lost its lock
    must not: another one may have sent newer records of the same keys.

    Args:
        settings: name the cluster.
        signer: the service whose key signs events.
        may_send: asked before each request with records.
    """

    def __init__(self, settings: Settings, signer: str, may_send: Callable[[], bool]) -> None:
        super().__init__(settings, signer)
        self._may_send = may_send
        self._client = self._producer.client
        self._send_request = self._client.send
        self._client.send = self._send_if_allowed

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await super().__aexit__(kind, error, trace)
            return
        self._may_send = lambda: False
        await self._abort()

    async def _abort(self) -> None:
        producer = self._producer
        producer._closed = True  # noqa: SLF001  # aiokafka has no end without a flush
        # Requests that wait for an answer fail when their connections close, and so does what is
        # still to be sent; the sender can end then.
        for connection in list(self._client._conns.values()):  # noqa: SLF001
            connection.close()
        for ending in (producer._sender.close(), self._client.close()):  # noqa: SLF001
            with suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(ending, _CLOSE_SECONDS)
        for future in self._pending:
            # Nobody waits for these; an error that nobody retrieves would be logged.
            if future.done() and not future.cancelled():
                future.exception()
            future.cancel()

    async def _send_if_allowed(self, node: int, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest) and not self._may_send():
            raise _MaySendNoMore
        return await self._send_request(node, request, **options)

    async def require_topic(self, topic: str) -> None:
        """Check that a topic exists and may be written to; a topic that is known costs nothing.

        Raises:
            RecordRefused: it does not, or may not.
            Unavailable: Kafka does not answer.
        """
        name = topic_name(self._settings, topic)
        cluster = self._client.cluster
        if cluster.partitions_for_topic(name) is not None:
            return
        is_answered = await self._client.add_topic(name)
        for _ in range(_LOOKS):
            if not is_answered:
                raise Unavailable(f"Kafka does not answer whether there is a topic {name}.")
            if cluster.partitions_for_topic(name) is not None:
                return
            if name in cluster.unauthorized_topics:
                raise RecordRefused(f"Kafka does not let this service write to {name}.")
            await asyncio.sleep(_PAUSE_SECONDS)
            is_answered = await self._client.force_metadata_update()
        raise RecordRefused(f"Kafka has no topic {name}.")

    async def send(
        self, topic: str, key: bytes | None, value: bytes, headers: Headers
    ) -> asyncio.Future[Any]:
        """Send one record, as `Publisher.send` does, but wait for no acknowledgement.

        Raises:
            RecordRefused: it is too large.
            Unavailable: Kafka does not accept it in time.
        """
        try:
            sent: asyncio.Future[Any] = await self._producer.send(
                topic_name(self._settings, topic), value=value, key=key, headers=headers
            )
        except _REFUSALS as error:
            raise RecordRefused(describe(error)) from error
        except KafkaError as error:
            raise Unavailable(f"Kafka does not accept records for {topic}.") from error
        self._pending.append(sent)
        return sent

    def forget_acknowledged(self) -> None:
        """Drop the acknowledgements of a batch that was recorded."""
        self._pending.clear()


def refusal(error: BaseException | None) -> str | None:
    """Why Kafka refused a record; None for no error, and for an outage."""
    return describe(error) if isinstance(error, _REFUSALS) else None


def describe(error: BaseException) -> str:
    """An error of Kafka as people read it."""
    return f"Kafka refuses the record: {type(error).__name__}: {error}"
