"""uvicorn's HTTP protocol, with bounds on what comes before a valid token, and problem details.

uvicorn bounds neither the bytes and number of headers nor the time that they take, reads the
beginning of each body before an application runs, and takes any number of pipelined requests.
llhttp under it keeps an unfinished header without telling its size. Hence this subclass. It answers
what is not HTTP, or exceeds a bound, with problem details (RFC 9457).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.web.connections import (
    CONNECTIONS_ENDED,
    MAX_UNFINISHED_BYTES,
    ConnectionTable,
    peer_name,
)

MAX_TARGET: Final = 65_535
"""Bytes that httptools reads of a request's path and query."""
MAX_HEADER_BYTES: Final = 16 * 1024
"""Names and values of all headers of a request together."""
MAX_HEADERS: Final = 100
MAX_PIPELINED: Final = 16
"""Requests that a client may send before the first of them is answered."""
MAX_DISCARDED: Final = 64 * 1024
"""Bytes of a body that are read although nobody wants it, before the connection ends."""
HEAD_SECONDS: Final = 15.0
"""Time for the head of a request, from the connection or from the answer before."""
WRITE_SECONDS: Final = 60.0
"""Time in which a client reads some of an answer that waits for it."""

TRUST: Final = "sentineliq.trust"
"""The ASGI extension of a connection that has carried no valid token yet: a function to say that a
request does."""

Headers = list[tuple[bytes, bytes]]
_MAX_FRAMING: Final = MAX_TARGET + MAX_HEADER_BYTES


class _Refusal(NamedTuple):
    status: int
    phrase: str
    code: str
    title: str


_MALFORMED: Final = _Refusal(400, "Bad Request", "bad-request", "Invalid HTTP request received.")
_OTHER_FORM: Final = _MALFORMED._replace(title="A request names a path, which begins with a slash.")
_LONG_TARGET: Final = _Refusal(
    414,
    "URI Too Long",
    "uri-too-long",
    f"Path and query may have {MAX_TARGET:,} bytes; send more values in the body of a POST.",
)
_LONG_HEADERS: Final = _Refusal(
    431,
    "Request Header Fields Too Large",
    "headers-too-large",
    f"A request may have {MAX_HEADERS} headers with {MAX_HEADER_BYTES:,} bytes together.",
)
_PIPELINED: Final = _Refusal(
    429,
    "Too Many Requests",
    "too-many-requests",
    f"Wait for an answer before you send more than {MAX_PIPELINED} requests.",
)
_SLOW: Final = _Refusal(
    408,
    "Request Timeout",
    "request-timeout",
    f"The head of a request must be complete within {HEAD_SECONDS:.0f} s.",
)
_BUSY: Final = _Refusal(
    503,
    "Service Unavailable",
    "unavailable",
    "There are too many connections. Try again in some seconds.",
)


class _RefusedRequestError(Exception):
    """Ends the parser's work on a request that exceeds a bound."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        table: the server's connections.
        is_authenticated: whether a request's headers carry a valid token.
        arguments: uvicorn's.
    """

    def __init__(
        self,
        table: ConnectionTable,
        is_authenticated: Callable[[Headers], bool],
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.url = b""
        self._table = table
        self._is_authenticated = is_authenticated
        self._is_stranger = True
        self._refusal: _Refusal | None = None
        self._has_progress = False
        self._framing_bytes = 0
        self._header_bytes = 0
        self._discarded_bytes = 0
        self._head_since: float | None = None
        self._blocked_since: float | None = None

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Find room for the connection."""
        super().connection_made(transport)
        self._head_since = self.loop.time()
        if not self._table.admit(self, peer_name(self.client[0] if self.client else None)):
            self._refuse(_BUSY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what the table counts of it."""
        self._table.remove(self)
        self._release()
        super().connection_lost(exc)

    def end(self) -> None:
        """End it at once, without an answer."""
        self.transport.abort()

    def trust(self) -> None:
        """Note that a request carries a valid token."""
        self._is_stranger = False
        self._table.trust(self)

    def check_time(self, now: float) -> None:
        """End it if the head of a request, or the reading of an answer, takes too long."""
        if self._blocked_since is not None and now - self._blocked_since > WRITE_SECONDS:
            CONNECTIONS_ENDED.labels("unread").inc()
            self.transport.abort()
        elif self._head_since is not None and now - self._head_since > HEAD_SECONDS:
            CONNECTIONS_ENDED.labels("slow").inc()
            self._refuse(_SLOW)

    def data_received(self, data: bytes) -> None:
        """Parse what came; count what no callback of the parser has told of."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._has_progress = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # There is nothing to upgrade to. The request itself goes on, the connection does not.
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self.send_400_response(_MALFORMED.title)
            return
        if self._has_progress:
            if self._framing_bytes:
                self._release()
            return
        self._framing_bytes += len(data)
        self._table.unfinished_bytes += len(data)
        if self._framing_bytes > _MAX_FRAMING:
            self._refuse(_LONG_TARGET if len(self.url) > MAX_TARGET else _LONG_HEADERS)
        elif self._table.unfinished_bytes > MAX_UNFINISHED_BYTES:
            self._refuse(_BUSY)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._has_progress = False
        self._discarded_bytes = 0
        self._header_bytes = 0
        if self._is_stranger:
            self.scope["extensions"] = {TRUST: self.trust}  # type: ignore[dict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer after a body in chunks."""
        # As the method above it, whose call would cost as much as its work.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            self._stop_parsing(_LONG_HEADERS)

    def on_headers_complete(self) -> None:
        """Start the application, if the head keeps to its bounds."""
        self._has_progress = True
        if not self.url.startswith(b"/") or b"#" in self.url:
            # Another host's address, or a part that no request has: uvicorn would leave it out.
            self._stop_parsing(_OTHER_FORM)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop_parsing(_PIPELINED)
        self._head_since = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of a body; drop it without a valid token, or after the answer."""
        self._has_progress = True
        if not self.cycle.response_complete and (
            not self._is_stranger or self._is_authenticated(self.headers)
        ):
            super().on_body(body)
            return
        self._discarded_bytes += len(body)
        if self._discarded_bytes <= MAX_DISCARDED:
            return
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """End the body."""
        self._has_progress = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._head_since = self.loop.time()

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        self._blocked_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._blocked_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Name the error and end the connection: the next request's beginning is unknown."""
        refusal = self._refusal or _MALFORMED._replace(title=msg)
        if self._refusal is None and len(self.url) > MAX_TARGET:
            refusal = _LONG_TARGET
        self._refuse(refusal)

    def _stop_parsing(self, refusal: _Refusal) -> None:
        self._refusal = refusal
        raise _RefusedRequestError

    def _refuse(self, refusal: _Refusal) -> None:
        if self.transport.is_closing():
            return
        CONNECTIONS_ENDED.labels(refusal.code).inc()
        problem = {
            "type": f"urn:sentineliq:problem:{refusal.code}",
            "title": refusal.title,
            "status": refusal.status,
        }
        body = msgspec.json.encode(problem)
        head = (
            f"HTTP/1.1 {refusal.status} {refusal.phrase}\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _release(self) -> None:
        self._table.unfinished_bytes -= self._framing_bytes
        self._framing_bytes = 0
