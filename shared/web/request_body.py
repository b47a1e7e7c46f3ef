"""The body of a request: read within bounds of size and time, after its token was verified.

Bodies of JSON are read whole before FastAPI starts, which would do the same. Uploads are passed on
in pieces, as fast as their route takes them.
"""

import asyncio
import re
import time
from collections.abc import Collection, Mapping
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from shared.errors import SentinelIQError, TooLargeInput, Unavailable
from shared.web.json_bounds import check_json

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Limit of a body that lists many values."""
SMALL_BODY_BYTES: Final = 1024 * 1024
"""Limit of every other body, except where a route takes uploads."""
MAX_BODIES_BYTES: Final = 64 * 1024 * 1024
"""Bodies that a process holds at a time, uploads left out."""

_BODY_SECONDS: Final = 60.0
_UPLOAD_BYTES_PER_SECOND: Final = 4 * 1024
"""The slowest upload, after its first minute."""


UPLOAD_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "The document, as it is.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""`openapi_extra` of a route that reads its body as a stream."""


class SlowRequest(SentinelIQError):
    """The client sends its request too slowly."""

    status = 408
    code = "request-timeout"


class RequestBodies:
    """The bodies that an API reads.

    Args:
        limits: bytes by path; other paths take `SMALL_BODY_BYTES`.
        uploads: paths whose routes stream the body to a file, within limits of their own.
        upload_pattern: matches further such paths, which hold names.
    """

    def __init__(
        self,
        limits: Mapping[str, int] | None = None,
        uploads: Collection[str] = (),
        upload_pattern: re.Pattern[str] | None = None,
    ) -> None:
        self._limits = limits or {}
        self._uploads = frozenset(uploads)
        self._upload_pattern = upload_pattern
        self._held_bytes = 0

    def has_body(self, headers: Mapping[bytes, str]) -> bool:
        """Whether a request's headers announce a body."""
        return headers.get(b"content-length", "0") != "0" or b"transfer-encoding" in headers

    def is_upload(self, scope: Scope) -> bool:
        """Whether a request's route streams its body."""
        path: str = scope["path"]
        if path in self._uploads:
            return True
        pattern = self._upload_pattern
        return pattern is not None and pattern.fullmatch(path) is not None

    async def read(self, scope: Scope, headers: Mapping[bytes, str], receive: Receive) -> bytes:
        """Read a body whole, and count it until `forget`.

        Raises:
            TooLargeInput: it has more bytes than the route takes.
            InvalidInput: it is JSON of a shape that no route takes.
            SlowRequest: it is not complete after a minute.
            Unavailable: the process holds too many bodies.
            ClientDisconnect: the client went away.
        """
        limit = self._limits.get(scope["path"], SMALL_BODY_BYTES)
        announced = headers.get(b"content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
            raise _too_large(limit)
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                await self._collect(receive, limit, pieces)
            body = b"".join(pieces)
            check_json(body)
        except BaseException as error:
            self.forget(sum(map(len, pieces)))
            if not isinstance(error, TimeoutError):
                raise
            raise SlowRequest(
                f"A request must be complete within {_BODY_SECONDS:.0f} s."
            ) from error
        return body

    async def _collect(self, receive: Receive, limit: int, pieces: list[bytes]) -> None:
        size = 0
        is_whole = False
        while not is_whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            if self._held_bytes + len(piece) > MAX_BODIES_BYTES:
                raise Unavailable("Too many large requests are under way.")
            self._held_bytes += len(piece)
            pieces.append(piece)
            is_whole = not message.get("more_body", False)

    def forget(self, size: int) -> None:
        """Count a body of this size no longer: its request is answered."""
        self._held_bytes -= size


def receive_once(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read, then what the server tells."""
    is_sent = False

    async def receive_body() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body


def receive_upload(receive: Receive) -> Receive:
    """Return a `receive` that ends an upload that is too slow.

    It tells the application that the client went away, which is all that Starlette lets through
    from `receive` unchanged.
    """
    started = time.monotonic()
    size = 0

    async def receive_piece() -> Message:
        nonlocal size
        left = _BODY_SECONDS + size / _UPLOAD_BYTES_PER_SECOND - (time.monotonic() - started)
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        size += len(message.get("body", b""))
        return message

    return receive_piece


def _too_large(limit: int) -> TooLargeInput:
    return TooLargeInput(f"A request body may have {limit:,} bytes here.")
