"""Connections to the services behind the gateway.

They go to origins that the settings name, never to an address of a stranger, so that the guarded
client has nothing to guard here. Bodies pass in pieces, in both directions, and a slow reader slows
its writer down. Every wait has a limit.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httptools

from services.gateway.routing.failures import BrokenUpstream, SilentUpstream

DRAIN_SECONDS: Final = 60.0
"""Time in which a service reads some of a body that waits for it."""
_HIGH_WATER: Final = 256 * 1024
_LOW_WATER: Final = 64 * 1024
_MAX_HEADERS: Final = 100
_MAX_HEADER_BYTES: Final = 64 * 1024
_USER_TIMEOUT: Final = 20_000
"""Milliseconds after which the kernel ends a connection whose other end acknowledges nothing."""

Headers = list[tuple[bytes, bytes]]


class Origin(NamedTuple):
    """Where a service listens.

    Attributes:
        name: of the service.
        host: its name or address.
        port: of TCP.
        is_encrypted: whether it speaks TLS.
    """

    name: str
    host: str
    port: int
    is_encrypted: bool = False

    @property
    def authority(self) -> str:
        """Host and port, as the header `Host` names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def origin_of(name: str, url: str) -> Origin:
    """Read an origin from a setting.

    Raises:
        ValueError: the address has no host, or another scheme than http and https.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name}: {url} is no address of a service: http://<host>:<port>")
    is_encrypted = parts.scheme == "https"
    port = parts.port or (443 if is_encrypted else 80)
    return Origin(name, parts.hostname, port, is_encrypted)


class UpstreamConnection(asyncio.Protocol):
    """A connection to a service, with one exchange at a time.

    Args:
        name: of the service, for errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 0
        self.headers: Headers = []
        self.is_whole = False
        self.is_sending = False
        self.idle_since = 0.0
        self.exchanges = 0
        self._is_busy = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._header_bytes = 0
        self._has_head = False
        self._is_head_request = False
        self._is_framed = False
        self._is_kept_alive = False
        self._is_paused = False
        self._can_write = True
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self.is_left = False
        self.on_end: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether another exchange may begin on it."""
        return (
            self._error is None and self._transport is not None and not self._transport.is_closing()
        )

    @property
    def has_answer(self) -> bool:
        """Whether anything of an answer has come."""
        return self._has_head or bool(self.headers) or bool(self.status)

    def begin(self, head: bytes, *, is_head_request: bool) -> None:
        """Begin an exchange by sending the head of a request, with what is there of its body."""
        self.status = 0
        self.headers = []
        self.is_whole = False
        self.exchanges += 1
        self._is_busy = True
        self._has_head = False
        self._is_framed = False
        self._is_head_request = is_head_request
        self._header_bytes = 0
        self.write(head)

    def write(self, data: bytes) -> None:
        """Send bytes; `drain` waits until the service has room for more."""
        if self._transport is not None and self._error is None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the service reads.

        Raises:
            SilentUpstream: it does not, for a minute.
            BrokenUpstream: the connection has ended.
        """
        if self._can_write and self._error is None:
            return
        if self._error is None:
            self._writer = self._loop.create_future()
            await self._wait(self._writer, DRAIN_SECONDS)
        if self._error is not None:
            raise self._error

    async def read_head(self, seconds: float) -> None:
        """Wait for status and headers; time counts from the end of the request's body.

        Raises:
            SilentUpstream: they have not come in time.
            BrokenUpstream: the connection has ended, or what came is no answer.
        """
        while not self._has_head:
            await self._read_more(seconds)

    async def read_piece(self, seconds: float) -> bytes:
        """Wait for the next piece of the body; empty when it is whole.

        Raises:
            SilentUpstream: none has come in time.
            BrokenUpstream: the connection has ended before the body has.
        """
        while not self._pieces:
            if self.is_whole:
                return b""
            await self._read_more(seconds)
        piece = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return piece

    def finish(self) -> bool:
        """End an exchange; return whether the connection may carry another."""
        self._is_busy = False
        is_reusable = (
            self.is_open
            and self.is_whole
            and not self.is_sending
            and self._is_kept_alive
            and not self._pieces
        )
        if is_reusable and self._is_head_request:
            # The parser waits for the body that the headers describe and that never comes.
            self._parser = httptools.HttpResponseParser(self)
        if not is_reusable:
            self.abort()
        return is_reusable

    def leave(self, seconds: float) -> None:
        """Let the service end what it works on although nobody reads its answer.

        Nothing is left where the answer is whole, or the request is not.

        Args:
            seconds: after which the connection ends in any case.
        """
        is_under_way = self._transport is not None and not self._transport.is_closing()
        if is_under_way and not self.is_whole and not self.is_sending:
            self.is_left = True
            self._pieces.clear()
            self._end_timer = self._loop.call_later(seconds, self.abort)
            if self._is_paused and self._transport is not None:
                self._is_paused = False
                self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: Exception) -> None:
        """Let whoever waits for the service, or will, know why it waits in vain."""
        if self._error is None:
            self._error = error
        self._wake()

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Set the limits of the kernel's part."""
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER, low=_LOW_WATER)
        line = transport.get_extra_info("socket")
        if line is not None and line.family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError, AttributeError):
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; an answer without a length is whole by it."""
        if self._end_timer is not None:
            self._end_timer.cancel()
        if self.on_end is not None:
            self.on_end()
            self.on_end = None
        if self._has_head and not self.is_whole and not self._is_framed and exc is None:
            self.is_whole = True
        self.fail(BrokenUpstream(self.name))

    def eof_received(self) -> bool:
        """Close the own side as well."""
        return False

    def pause_writing(self) -> None:
        """Note that the service does not read."""
        self._can_write = False

    def resume_writing(self) -> None:
        """Note that the service reads."""
        self._can_write = True
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and stop reading when too much of it waits."""
        if not self._is_busy:
            # Nothing was asked: whoever read it would take it for the next answer.
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.fail(BrokenUpstream(self.name))
            self.abort()
            return
        if self._buffered > _HIGH_WATER and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request."""
        if self.is_whole:
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the answer, or drop a trailer."""
        if self._has_head:
            return
        name = name.lower()
        self._header_bytes += len(name) + len(value)
        if len(self.headers) >= _MAX_HEADERS or self._header_bytes > _MAX_HEADER_BYTES:
            raise ValueError("headers")
        if name in (b"content-length", b"transfer-encoding"):
            self._is_framed = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Let the head be read, unless it is one of those that come before the answer."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        self.status = status
        self._has_head = True
        # The parser knows it now, and no more once the message is complete.
        self._is_kept_alive = self._parser.should_keep_alive()
        if self._is_head_request:
            self.is_whole = True

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, if anybody reads it."""
        if self.is_left:
            return
        self._pieces.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        if self._has_head:
            self.is_whole = True
        if self.is_left:
            self.abort()

    async def _read_more(self, seconds: float) -> None:
        self._raise_error()
        self._reader = self._loop.create_future()
        try:
            await self._wait(self._reader, seconds)
        except SilentUpstream:
            # While a request's body is under way the service has nothing to answer yet.
            if not self.is_sending:
                raise
        if not self.is_whole and not self._pieces:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    async def _wait(self, future: asyncio.Future[None], seconds: float) -> None:
        timer = self._loop.call_later(seconds, _expire, future, self.name)
        try:
            await future
        finally:
            timer.cancel()

    def _wake(self) -> None:
        for future in (self._reader, self._writer):
            if future is not None and not future.done():
                future.set_result(None)


def _expire(future: asyncio.Future[None], name: str) -> None:
    if not future.done():
        future.set_exception(SilentUpstream(name))
