"""Clients of Kafka that leave no connection open, however they end.

aiokafka closes what a client has opened when somebody stops it, and only then. A start that fails
has to be followed by a stop. A stop that is cancelled closes nothing, a bootstrap that is cancelled
forgets its connection, and a task that still asks the client connects once more after its end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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

from shared.kafka.vetted_connection import ClusterRoute, VettedConnection

Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient)

_CLOSE_SECONDS: Final = 15.0
"""The longest goodbye: a broker that is frozen answers none."""

_opener: ContextVar["ClosingClient | None"] = ContextVar("_opener", default=None)
"""The client for which connections are being opened."""


def _noting(create: Callable[..., Awaitable[AIOKafkaConnection]]) -> Callable[..., Any]:
    """Let whatever opens a connection note it at the client that it is for, and by its route."""

    async def create_noted(*arguments: Any, **options: Any) -> AIOKafkaConnection:
        client = _opener.get()
        if client is not None and client.route is not None:
            connection = VettedConnection(client.route, *arguments, **options)
            await connection.connect()
        else:
            connection = await create(*arguments, **options)
        if client is not None:
            client.note_connection(connection)
        return connection

    return create_noted


class ClosingClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka is untyped
    """The part of an aiokafka client that has its connections, and remembers all of them.

    Attributes:
        route: opens its connections if the cluster is of others; None for our own.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.route: ClusterRoute | None = None
        self._is_over = False
        self._opened = WeakSet[AIOKafkaConnection]()

    def note_connection(self, connection: AIOKafkaConnection) -> None:
        """Remember a connection, so that it is closed with the client; close it if that is over."""
        self._opened.add(connection)
        if self._is_over:
            connection.close()

    async def bootstrap(self) -> None:
        """Learn the cluster from one of the servers; close that connection, whatever happens.

        Raises:
            KafkaError: none of them answers.
        """
        token = _opener.set(self)
        try:
            await super().bootstrap()
        finally:
            _opener.reset(token)
            for connection in set(self._opened) - set(self._conns.values()):
                connection.close()

    async def _get_conn(self, *arguments: Any, **options: Any) -> AIOKafkaConnection | None:
        if self._is_over:
            return None
        token = _opener.set(self)
        try:
            connection: AIOKafkaConnection | None = await super()._get_conn(*arguments, **options)
        finally:
            _opener.reset(token)
        return connection

    async def close(self) -> None:
        """Close all connections, and open no other."""
        self.close_connections()
        await super().close()

    def close_connections(self) -> None:
        """Close all connections at once, and open no other."""
        self._is_over = True
        for connection in list(self._opened):
            connection.close()


def close_completely() -> None:
    """Let aiokafka's consumers, producers and administrators use `ClosingClient`.

    What else replaces the function that opens connections has to do so before.
    """
    aiokafka.client.create_conn = _noting(aiokafka.client.create_conn)
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
        inner.close_connections()
