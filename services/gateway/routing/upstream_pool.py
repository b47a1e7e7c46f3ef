"""The connections to one service: how many there are at a time, and whose requests they carry."""

import asyncio
import ssl
from functools import partial
from typing import Final

from services.gateway.routing.failures import TooManyUnderWay, UpstreamAway
from services.gateway.routing.upstream import Origin, UpstreamConnection

CONNECT_SECONDS: Final = 2.0
"""Time for a connection, and for a place among those that there may be."""
MAX_CONNECTIONS: Final = 256
"""Connections to one service at a time."""
MAX_OF_OWNER: Final = 128
"""Of these, how many the requests of one tenant may have: another one always finds a place."""
MAX_LEFT: Final = 64
"""Connections beside these on which changes end whose clients have gone away."""
_IDLE_SECONDS: Final = 3.0
"""A service ends a connection that is idle for five seconds; a gateway that used it in that moment
would have to send the request again."""


class UpstreamPool:
    """The connections to one service.

    Args:
        origin: where it listens.
        limit: of connections at a time.
    """

    def __init__(self, origin: Origin, limit: int = MAX_CONNECTIONS) -> None:
        self.origin = origin
        self._idle: list[UpstreamConnection] = []
        self._left = 0
        self._shares: dict[str, int] = {}
        self._places = asyncio.Semaphore(limit)
        self._most_of_owner = min(MAX_OF_OWNER, limit // 2)
        self._context = ssl.create_default_context() if origin.is_encrypted else None

    async def acquire(self, owner: str = "", *, is_fresh: bool = False) -> UpstreamConnection:
        """Return a connection for an exchange; `release` gives it back.

        Args:
            owner: the tenant or client whose request it is; empty for the gateway's own.
            is_fresh: whether it must be a new one.

        Raises:
            UpstreamAway: there is none within the limit of time.
            TooManyUnderWay: the owner has used up its share.
        """
        await self._enter(owner)
        try:
            while self._idle and not is_fresh:
                connection = self._idle.pop()
                age = asyncio.get_running_loop().time() - connection.idle_since
                if connection.is_open and age < _IDLE_SECONDS:
                    return connection
                connection.abort()
            return await self._connect()
        except BaseException:
            self._exit(owner)
            raise

    def release(self, connection: UpstreamConnection, owner: str = "") -> None:
        """End an exchange, and keep the connection if it may carry another.

        A connection that was left ends by itself, beside the places, if there are not too many.
        """
        self._exit(owner)
        if connection.is_left and self._left < MAX_LEFT:
            self._left += 1
            connection.on_end = self._forget_left
        elif connection.finish():
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)

    def close(self) -> None:
        """End the connections that no exchange uses."""
        while self._idle:
            self._idle.pop().abort()

    async def _enter(self, owner: str) -> None:
        if owner:
            count = self._shares.get(owner, 0)
            if count >= self._most_of_owner:
                raise TooManyUnderWay(self.origin.name, count)
            self._shares[owner] = count + 1
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._places.acquire()
        except BaseException as error:
            self._forget_share(owner)
            if isinstance(error, TimeoutError):
                raise UpstreamAway(self.origin.name, "has no connection free") from None
            raise

    def _exit(self, owner: str) -> None:
        self._places.release()
        self._forget_share(owner)

    def _forget_share(self, owner: str) -> None:
        left = self._shares.get(owner, 0) - 1
        if left > 0:
            self._shares[owner] = left
        else:
            self._shares.pop(owner, None)

    def _forget_left(self) -> None:
        self._left -= 1

    async def _connect(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    partial(UpstreamConnection, self.origin.name),
                    self.origin.host,
                    self.origin.port,
                    ssl=self._context,
                )
        except (OSError, TimeoutError) as error:
            raise UpstreamAway(self.origin.name, "does not answer") from error
        return connection
