"""Connections to a cluster of others, which lead to vetted addresses only.

A server of Kafka names the others of its cluster, and aiokafka connects to whatever it names. So
each connection is opened by its `ClusterRoute`, the first one and those that follow from it.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest

from shared.errors import SentinelIQError, UpstreamError

OpenSocket = Callable[[str, int], Awaitable[socket.socket]]
"""Opens a connection to a vetted address of a host, on a port; it is not blocking."""


class ClusterRoute:
    """How the connections to one cluster are opened, and what became of them.

    Args:
        open_socket: opens a connection, or raises what is wrong with its address.

    Attributes:
        refusal: is set when a server of the cluster may not be reached, or cannot prove its name.
        last_error: why the newest connection failed.
        has_sent: whether records were handed to a connection.
    """

    def __init__(self, open_socket: OpenSocket) -> None:
        self._open_socket = open_socket
        self.refusal: asyncio.Future[SentinelIQError] = asyncio.get_running_loop().create_future()
        self.last_error: Exception | None = None
        self.has_sent = False

    async def open(self, host: str, port: int) -> socket.socket:
        """Open a connection.

        Raises:
            ConnectionError: there is none; aiokafka goes on with the cluster's other servers.
        """
        try:
            return await self._open_socket(host, port)
        except UpstreamError as error:
            if not error.retryable:
                self.refuse(error)
            raise ConnectionError(error.message) from error

    def refuse(self, error: SentinelIQError) -> None:
        """Give the cluster up for a reason that another attempt would meet, too."""
        if not self.refusal.done():
            self.refusal.set_result(error)


class _VettedLoop:
    """The running event loop, but for the way in which it opens connections.

    Args:
        loop: the running loop.
        route: opens them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, route: ClusterRoute) -> None:
        self._inner = loop
        self._route = route

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def create_connection(self, protocol: Any, host: str, port: int, **options: Any) -> Any:
        """Connect, and verify the certificate for the host's name."""
        connection = await self._route.open(host, port)
        name = host if options.get("ssl") else None
        try:
            return await self._inner.create_connection(
                protocol, sock=connection, server_hostname=name, **options
            )
        except ssl.SSLCertVerificationError as error:
            connection.close()
            message = f"{host}:{port} cannot prove its name: {error.verify_message}."
            self._route.refuse(UpstreamError(message, retryable=False))
            raise
        except BaseException:
            connection.close()
            raise


class VettedConnection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka is untyped
    """A connection that its cluster's route opens.

    Args:
        route: of the cluster.
        arguments, options: as aiokafka gives them.
    """

    def __init__(self, route: ClusterRoute, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # aiokafka opens connections by its loop, and in no other way.
        self._loop: Any = _VettedLoop(asyncio.get_running_loop(), route)
        self._route = route

    async def connect(self) -> Any:
        """Connect and log in; the route notes why it failed.

        Raises:
            OSError, KafkaError: there is no connection, or no login.
        """
        try:
            return await super().connect()
        except (OSError, KafkaError) as error:
            self._route.last_error = error
            raise

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Send a request; the route notes that records were among them."""
        answer = super().send(request, expect_response)
        self._route.has_sent |= isinstance(request, ProduceRequest)
        return answer
