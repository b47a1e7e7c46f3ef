"""Writing to a topic of somebody else's cluster: records, within a time, to vetted addresses."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerResponseError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    NotEnoughReplicasAfterAppendError,
    RequestTimedOutError,
)

from shared.errors import UpstreamError
from shared.events import Headers
from shared.kafka.cluster import REQUEST_MS
from shared.kafka.vetted_connection import ClusterRoute, OpenSocket

_CLOSE_SECONDS: Final = 1.0
"""The longest goodbye; nothing waits for it."""


@dataclass(frozen=True, slots=True)
class ForeignCluster:
    """A cluster and the login for it.

    Attributes:
        servers: `host:port`, one or several with commas between.
        tls: verifies the servers; None speaks no TLS.
        mechanism: of SASL; None has no login.
        username, password: of the login.
    """

    servers: str
    tls: ssl.SSLContext | None = None
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """What aiokafka's clients take."""
        transport = "PLAINTEXT" if self.tls is None else "SSL"
        options: dict[str, Any] = {"bootstrap_servers": self.servers.split(",")}
        if self.tls is not None:
            options["ssl_context"] = self.tls
        if self.mechanism is None:
            return options | {"security_protocol": transport}
        return options | {
            "security_protocol": f"SASL_{transport}",
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }


class RecordLost(UpstreamError):
    """The cluster did not acknowledge a record.

    Attributes:
        may_have_arrived: the record was sent, so that it may stand in the topic.
    """

    code = "record-lost"

    def __init__(self, message: str, *, may_have_arrived: bool, retryable: bool = True) -> None:
        super().__init__(message, retryable=retryable)
        self.may_have_arrived = may_have_arrived


async def write_record(
    cluster: ForeignCluster,
    open_socket: OpenSocket,
    topic: str,
    key: bytes,
    value: bytes,
    headers: Headers,
    *,
    seconds: float,
) -> tuple[int, int]:
    """Write a record, and wait until all in-sync replicas have it.

    Args:
        cluster: where to.
        open_socket: opens connections to vetted addresses.
        topic: that takes the record.
        key: of the record, which decides the partition.
        value: of the record.
        headers: of the record.
        seconds: for all of it.

    Returns:
        The record's partition and offset.

    Raises:
        RecordLost: it was not acknowledged.
        UpstreamError: an address of the cluster may not be reached.
    """
    [place] = await write_records(
        cluster, open_socket, topic, [(key, value)], headers, seconds=seconds
    )
    return place


async def write_records(
    cluster: ForeignCluster,
    open_socket: OpenSocket,
    topic: str,
    records: Sequence[tuple[bytes, bytes]],
    headers: Headers,
    *,
    seconds: float,
) -> list[tuple[int, int]]:
    """Write records, and wait until all in-sync replicas have them.

    Args:
        cluster: where to.
        open_socket: opens connections to vetted addresses.
        topic: that takes the records.
        records: keys and values. Those with the same key keep their order.
        headers: of each record.
        seconds: for all of it.

    Returns:
        Each record's partition and offset.

    Raises:
        RecordLost: one was not acknowledged; others may stand in the topic.
        UpstreamError: an address of the cluster may not be reached.
    """
    route = ClusterRoute(open_socket)
    producer = AIOKafkaProducer(
        **cluster.options(),
        client_id="sentineliq",
        enable_idempotence=True,  # what aiokafka repeats by itself stands in the topic once
        acks="all",
        request_timeout_ms=min(REQUEST_MS, round(seconds * 1000)),
    )
    producer.client.route = route
    writing = asyncio.create_task(_write(producer, topic, records, headers))
    either: set[asyncio.Future[Any]] = {writing, route.refusal}
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():
            raise route.refusal.result()
        return writing.result()
    except TimeoutError:
        message = f"The cluster did not answer within {seconds:g} seconds."
        raise RecordLost(message, may_have_arrived=route.has_sent) from None
    except (KafkaError, OSError) as error:
        if route.refusal.done():
            raise route.refusal.result() from error
        raise _lost(error, route) from error
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await _close(producer)


async def _write(
    producer: AIOKafkaProducer,
    topic: str,
    records: Sequence[tuple[bytes, bytes]],
    headers: Headers,
) -> list[tuple[int, int]]:
    await producer.start()
    sent = [
        await producer.send(topic, value=value, key=key, headers=headers) for key, value in records
    ]
    written = await asyncio.gather(*sent)
    return [(record.partition, record.offset) for record in written]


def _lost(error: Exception, route: ClusterRoute) -> RecordLost:
    """What an error of aiokafka says about the record."""
    cause = error
    if isinstance(error, KafkaConnectionError) and route.last_error is not None:
        cause = route.last_error
    reason = " ".join(str(cause).split())[:300] or type(cause).__name__
    # With these the record may stand in the topic. The other answers say that it does not.
    is_refused = isinstance(error, BrokerResponseError) and not isinstance(
        error, RequestTimedOutError | NotEnoughReplicasAfterAppendError
    )
    return RecordLost(
        f"The cluster did not take the record: {reason}",
        may_have_arrived=route.has_sent and not is_refused,
        retryable=not is_refused or bool(getattr(error, "retriable", False)),
    )


async def _close(producer: AIOKafkaProducer) -> None:
    """End a producer now: what is not acknowledged by now is given up.

    aiokafka has no such end. Its own waits until every record is acknowledged or too old.
    """
    producer.client.close_connections()
    sending = producer._sender.sender_task  # noqa: SLF001
    if sending is not None:
        sending.cancel()
        await asyncio.wait({sending}, timeout=_CLOSE_SECONDS)
    given_up = IllegalStateError("The record was given up.")
    producer._message_accumulator.fail_all(given_up)  # noqa: SLF001
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
