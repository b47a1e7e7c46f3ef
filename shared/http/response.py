"""Responses: headers, a streamed body, a body in memory, and the figures of a download."""

import asyncio
import json
import math
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore2

from shared.errors import InvalidInput, UpstreamError
from shared.http.decode import Decoder
from shared.http.errors import BadBody, TimedOut, Unreachable, Untrusted, UpstreamStatus
from shared.http.guard import Target

MAX_RETRY_AFTER = 86_400.0
"""The longest wait, in seconds, that a server can ask for."""


class Headers(Mapping[str, str]):
    """A server's headers; names are case-insensitive, repeated ones are joined by commas."""

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, str] = {}
        for raw_name, raw_value in fields:
            name = raw_name.decode("latin-1").lower()
            value = raw_value.decode("latin-1")
            self._fields[name] = f"{self._fields[name]}, {value}" if name in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self._fields)})"


def retry_after(value: str | None, now: datetime) -> float | None:
    """Parse a Retry-After header, which is a number or a date (RFC 9110, 10.2.3).

    Returns:
        Seconds, up to one day; None if the header is missing or malformed.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)


def response_time(headers: Headers) -> datetime:
    """Return the server's own time: its `Date` header, or this machine's time without one.

    Dates in other headers are on the server's clock, which may differ from this machine's.
    """
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return datetime.now(UTC)
    return moment.replace(tzinfo=moment.tzinfo or UTC)


@contextmanager
def translate_errors(origin: str) -> Iterator[None]:
    """Translate errors of transport and decoder to `UpstreamError`, with nothing secret in them."""
    try:
        yield
    except httpcore2.ConnectTimeout:
        raise TimedOut(f"{origin} did not take a connection in time", origin=origin) from None
    except (TimeoutError, httpcore2.TimeoutException):
        late = TimedOut(f"{origin} did not answer completely in time", origin=origin)
        late.may_have_arrived = True
        raise late from None
    except httpcore2.LocalProtocolError:
        # The original's text contains the header's value.
        raise InvalidInput(
            "the request has a header that HTTP does not allow", field="headers"
        ) from None
    except httpcore2.ProtocolError:
        # The original's text contains bytes of the server, which may echo the request.
        broken = Unreachable(f"{origin} broke off, or does not speak HTTP", origin=origin)
        broken.may_have_arrived = True
        raise broken from None
    except httpcore2.NetworkError as error:
        raise _connection_error(origin, error) from error


def _connection_error(origin: str, error: httpcore2.NetworkError) -> UpstreamError:
    """Build an error from the transport's text, which never contains the request."""
    reason = error.args[0] if error.args else ""
    if verify_message := getattr(reason, "verify_message", None):
        return Untrusted(
            f"the certificate of {origin} does not verify: {verify_message}", origin=origin
        )
    unreachable = Unreachable(
        f"{origin} cannot be reached, or broke off: {reason or 'no reason given'}", origin=origin
    )
    unreachable.may_have_arrived = not isinstance(error, httpcore2.ConnectError)
    return unreachable


@dataclass(slots=True)
class BufferedResponse:
    """The base of all responses: status, headers, and the last URL."""

    status: int
    headers: Headers
    target: Target = field(repr=False)

    @property
    def url(self) -> str:
        """The last URL after redirects. It may contain secrets: do not log it."""
        return self.target.url

    def raise_for_status(self) -> None:
        """Raise unless the status is 2xx.

        Raises:
            UpstreamStatus: with the status and its Retry-After.
        """
        if not 200 <= self.status < 300:
            wait = retry_after(self.headers.get("retry-after"), response_time(self.headers))
            raise UpstreamStatus(self.status, origin=self.target.origin, retry_after=wait)


@dataclass(slots=True)
class Response(BufferedResponse):
    """A response with its decoded body in memory."""

    content: bytes = field(repr=False)

    def json(self) -> Any:
        """Decode the body as JSON.

        Raises:
            BadBody: it is not JSON, or nested too deeply.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise BadBody(
                f"{self.target.origin} answered with something that is not JSON"
            ) from None


@dataclass(slots=True)
class Download(BufferedResponse):
    """A finished download; after status 304 there is no file, and the figures are zero."""

    bytes_received: int
    """Bytes of the body on the wire."""
    bytes_expanded: int
    """Bytes of the file."""
    sha256: str
    """The hash of the file, in hexadecimal."""


@dataclass(slots=True)
class StreamedResponse(BufferedResponse):
    """A response before its body is read; valid within its `async with`."""

    decoder: Decoder = field(repr=False)
    body: AsyncIterable[bytes] = field(repr=False)
    deadline: float = field(repr=False)

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Read the decoded body, once, in pieces of at most some MiB.

        Raises:
            TooLarge: a limit of the request is exceeded.
            BadBody: the body is not in its content encoding.
            TimedOut: the request's total time is over.
            Unreachable: the connection breaks before the body is complete.
        """
        with translate_errors(self.target.origin):
            chunks = aiter(self.body)
            while chunk := await self._next(chunks):
                for piece in self.decoder.feed(chunk):
                    yield piece
            self.decoder.finish()

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes:
        # A timer does not fire while data is always ready, so read the clock as well.
        if asyncio.get_running_loop().time() > self.deadline:
            raise TimeoutError
        async with asyncio.timeout_at(self.deadline):
            return await anext(chunks, b"")
