"""Clients of Kafka that leave no connection open, however they end.

aiokafka closes what a client has opened when somebody stops it, and only then. A start that fails
has to be followed by a stop. A stop that is cancelled closes nothing, a bootstrap that is cancelled
forgets its connection, and a task that still asks the client connects once more after its end.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar
from weakref import WeakSet

import aiokafka.admin.client
import aiokafka.client
import aiokafka.consumer.consumer
import aiokafka.producer.producer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection

Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient)

_CLOSE_SECONDS: Final = 15.0
"""The longest goodbye: a broker that is frozen answers none."""

_bootstrapping: ContextVar[WeakSet[AIOKafkaConnection] | None] = ContextVar(
    "_bootstrapping", default=None
)
_create_connection = aiokafka.client.create_conn


async def _create_noted(*arguments: Any, **options: Any) -> AIOKafkaConnection:
    connection = await _create_connection(*arguments, **options)
    opened = _bootstrapping.get()
    if opened is not None:
        opened.add(connection)
    return connection


class ClosingClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka is untyped
    """The part of an aiokafka client that has its connections."""

    _is_over = False

    async def bootstrap(self) -> None:
        """Learn the cluster from one of the servers; close that connection, whatever happens.

        Raises:
            KafkaError: none of them answers.
        """
        opened = WeakSet[AIOKafkaConnection]()
        token = _bootstrapping.set(opened)
        try:
            await super().bootstrap()
        finally:
            _bootstrapping.reset(token)
            for connection in set(opened) - set(self._conns.values()):
                connection.close()

    async def _get_conn(self, *arguments: Any, **options: Any) -> AIOKafkaConnection | None:
        connection = None if self._is_over else await super()._get_conn(*arguments, **options)
        if connection is None or not self._is_over:
            return connection
        # It was on its way when the client was closed.
        connection.close()
        return None

    async def close(self) -> None:
        """Close all connections, and open no other."""
        self._is_over = True
        for connection in self._conns.values():
            connection.close()
        await super().close()


def close_completely() -> None:
    """Let aiokafka's consumers, producers and administrators use `ClosingClient`."""
    aiokafka.client.create_conn = _create_noted
    for module in (aiokafka.consumer.consumer, aiokafka.producer.producer, aiokafka.admin.client):
        module.AIOKafkaClient = ClosingClient


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Client]:
    """Start a client for a block; it is closed when the block ends, or when the start fails.

    Raises:
        KafkaError: the cluster does not answer.
    """
    try:
        await client.start()
        yield client
    finally:
        await close_client(client)


async def close_client(
    client: AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient,
) -> None:
    """Stop a client, and close its connections also when it is cancelled or takes too long."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            if isinstance(client, AIOKafkaAdminClient):
                await client.close()
            else:
                await client.stop()
    except TimeoutError:
        from shared.telemetry.logging import get_logger  # noqa: PLC0415  # doctor starts sooner

        get_logger(__name__).warning("client.close_timed_out", seconds=_CLOSE_SECONDS)
    finally:
        inner = getattr(client, "client", None) or client._client  # noqa: SLF001
        for connection in list(inner._conns.values()):  # noqa: SLF001
            connection.close()
