"""One request at the edge, passed on to a service, and the answer passed back."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Send

from services.gateway.routing.failures import BrokenUpstream
from services.gateway.routing.passed_headers import Headers, passed_response_headers
from services.gateway.routing.upstream import UpstreamConnection
from services.gateway.routing.upstream_pool import UpstreamPool
from shared.errors import TooLargeInput
from shared.web.request_body import receive_upload

_WHOLE_BYTES: Final = 64 * 1024
"""A body up to this size is sent in one write, when it is whole."""
_REPEATABLE: Final = frozenset({"GET", "HEAD"})
_WATCH_SECONDS: Final = 0.1
"""A service that answers sooner needs nobody who watches whether its client is still there."""


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """What a service gets.

    Attributes:
        method: of the request.
        target: path and query, encoded.
        headers: all but the framing of the body.
        length: of the body; None for a body in chunks.
        has_body: whether there is a body.
    """

    method: str
    target: bytes
    headers: Headers
    length: int | None = None
    has_body: bool = False

    def head(self) -> bytes:
        """Request line and headers, as HTTP/1.1 writes them."""
        lines = [self.method.encode() + b" " + self.target + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers]
        if self.has_body and self.length is None:
            lines.append(b"transfer-encoding: chunked")
        elif self.has_body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d" % (self.length or 0))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def frame(self, piece: bytes, *, is_last: bool) -> bytes:
        """A piece of the body, as it is sent."""
        if self.length is not None:
            return piece
        end = b"0\r\n\r\n" if is_last else b""
        return b"%x\r\n%b\r\n%b" % (len(piece), piece, end) if piece else end


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """How long an exchange waits, and how much it takes.

    Attributes:
        answer_seconds: from the end of the request to the head of the answer.
        piece_seconds: between two pieces of an answer.
        body_bytes: of a request.
    """

    answer_seconds: float = 75.0
    piece_seconds: float = 120.0
    body_bytes: int = 1024 * 1024 * 1024


async def forward(
    pool: UpstreamPool,
    request: OutgoingRequest,
    receive: Receive,
    send: Send,
    own_headers: Iterable[tuple[bytes, bytes]],
    limits: ExchangeLimits,
    owner: str = "",
) -> int:
    """Pass a request on, and its answer back; return the answer's status.

    A read on a connection that the service has just ended is sent once more on a new one. When the
    client goes away, a read is broken off; a change comes to its end at the service, on a
    connection that holds no place.

    Raises:
        UpstreamAway: there is no connection to the service; nothing was sent.
        TooManyUnderWay: its owner has used up its share of the places; nothing was sent.
        SilentUpstream: the service has not begun to answer in time.
        BrokenUpstream: it broke off before it had begun to answer.
        TooLargeInput: the body is too large.
        SlowRequest: the client sends its body too slowly.
        ClientDisconnect: the client went away.
    """
    _check_size(request.length or 0, limits)
    exchange = _Exchange(request, receive, send, own_headers, limits)
    await exchange.receive_beginning()
    connection = await pool.acquire(owner)
    try:
        await exchange.run(connection)
    except ClientDisconnect:
        if request.method not in _REPEATABLE:
            connection.leave(limits.answer_seconds)
        raise
    except BrokenUpstream:
        is_stale = connection.exchanges > 1 and not connection.has_answer
        if request.has_body or request.method not in _REPEATABLE or not is_stale:
            raise
    else:
        return connection.status
    finally:
        pool.release(connection, owner)
    connection = await pool.acquire(owner, is_fresh=True)
    try:
        await exchange.run(connection)
    finally:
        pool.release(connection, owner)
    return connection.status


class _Exchange:
    """A request with both of its sides."""

    def __init__(
        self,
        request: OutgoingRequest,
        receive: Receive,
        send: Send,
        own_headers: Iterable[tuple[bytes, bytes]],
        limits: ExchangeLimits,
    ) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._own_headers = own_headers
        self._limits = limits
        self._pieces = receive_upload(receive)
        self._beginning = b""
        self._is_whole = not request.has_body

    async def receive_beginning(self) -> None:
        """Receive a body that fits one write, before any connection waits for it.

        Of a body in chunks the beginning is received: a short one is whole by that, and one that is
        malformed there reaches no service.
        """
        if self._request.length is None or self._request.length <= _WHOLE_BYTES:
            while not self._is_whole and len(self._beginning) <= _WHOLE_BYTES:
                piece, self._is_whole = await _receive_piece(self._pieces)
                self._beginning += piece

    async def run(self, connection: UpstreamConnection) -> None:
        """Send the request, and pass the answer back."""
        request = self._request
        if self._is_whole and request.length is None:
            request = replace(request, length=len(self._beginning))
        beginning = request.frame(self._beginning, is_last=self._is_whole)
        connection.begin(request.head() + beginning, is_head_request=request.method == "HEAD")
        body: asyncio.Task[None] | None = None
        watch = _ClientWatch(connection, self._receive)
        if self._is_whole:
            watch.begin_later()
        else:
            connection.is_sending = True
            size = len(self._beginning)
            passing = _pass_body(connection, request, self._pieces, size, self._limits, watch)
            body = asyncio.create_task(passing)
        try:
            await connection.read_head(self._limits.answer_seconds)
            headers = passed_response_headers(connection.headers, self._own_headers)
            status = connection.status
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await _pass_answer(connection, self._send, self._limits.piece_seconds)
        finally:
            watch.end()
            if body is not None:
                body.cancel()
                await asyncio.gather(body, return_exceptions=True)


async def _pass_body(
    connection: UpstreamConnection,
    request: OutgoingRequest,
    receive: Receive,
    size: int,
    limits: ExchangeLimits,
    watch: "_ClientWatch",
) -> None:
    """Send the rest of a body, as fast as the service takes it; watch the client after that."""
    is_last = False
    try:
        while not is_last:
            await connection.drain()
            piece, is_last = await _receive_piece(receive)
            size += len(piece)
            _check_size(size, limits)
            connection.write(request.frame(piece, is_last=is_last))
    except Exception as error:  # noqa: BLE001  # whoever waits for the answer gets it
        connection.fail(error)
    else:
        connection.is_sending = False
        watch.begin_later()


async def _receive_piece(receive: Receive) -> tuple[bytes, bool]:
    """The next piece of a body, and whether it is the last."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), not message.get("more_body", False)


def _check_size(size: int, limits: ExchangeLimits) -> None:
    if size > limits.body_bytes:
        raise TooLargeInput(f"A body may have {limits.body_bytes:,} bytes.", field="body")


async def _pass_answer(connection: UpstreamConnection, send: Send, seconds: float) -> None:
    """Send the body of an answer. When the service breaks it off, so does the gateway.

    Args:
        connection: to the service.
        send: of the client.
        seconds: between two pieces.
    """
    while True:
        piece = await connection.read_piece(seconds)
        is_last = connection.is_whole
        await send({"type": "http.response.body", "body": piece, "more_body": not is_last})
        if is_last:
            return


class _ClientWatch:
    """Ends the wait for a service when nobody is there to read its answer.

    Once the body is read, nothing but the client's end can come from it.
    """

    def __init__(self, connection: UpstreamConnection, receive: Receive) -> None:
        self._connection = connection
        self._receive = receive
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def begin_later(self) -> None:
        """Begin after a moment: most exchanges have ended by then."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_WATCH_SECONDS, self._begin)

    def end(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._connection.fail(ClientDisconnect())
                return
