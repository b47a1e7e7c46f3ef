"""What comes back: headers, a streamed answer, an answer in memory, and a downloaded file's figures."""

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
"""Longest wait in seconds that a server can ask for and get."""


class Headers(Mapping[str, str]):
    """A server's headers; names in any case, repeated ones joined by a comma."""

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, str] = {}
        for raw_name, raw_value in fields:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
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
    """Seconds to wait according to a Retry-After header, which is a number or a date (RFC 9110, 10.2.3).

    Returns:
        Between 0 and one day; None when the header is missing or nonsense.
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


@contextmanager
def translate_errors(origin: str) -> Iterator[None]:
    """Turns what the transport and the decoder raise into our errors, with the origin and nothing secret in them."""
    try:
        yield
    except (TimeoutError, httpcore2.TimeoutException):
        raise TimedOut(f"{origin} did not answer completely in time", origin=origin) from None
    except httpcore2.LocalProtocolError:
        # The original's text repeats the header it dislikes, value and all.
        raise InvalidInput(
            "the request has a header that HTTP does not allow", field="headers"
        ) from None
    except httpcore2.ProtocolError:
        # The text repeats what the server said, which may be an echo of what we said.
        raise Unreachable(f"{origin} broke off, or does not speak HTTP", origin=origin) from None
    except httpcore2.NetworkError as error:
        raise _no_connection(origin, error) from error


def _no_connection(origin: str, error: httpcore2.NetworkError) -> UpstreamError:
    """The transport's own words are about sockets and certificates, never about what was sent."""
    reason = error.args[0] if error.args else ""
    if verify_message := getattr(reason, "verify_message", None):
        return Untrusted(
            f"the certificate of {origin} does not verify: {verify_message}", origin=origin
        )
    return Unreachable(
        f"{origin} cannot be reached, or broke off: {reason or 'no reason given'}", origin=origin
    )


@dataclass(slots=True)
class BufferedResponse:
    """What every kind of answer has; `url` is where it finally came from."""

    status: int
    headers: Headers
    target: Target = field(repr=False)

    @property
    def url(self) -> str:
        """The last URL after redirects. It may contain secrets: do not log it."""
        return self.target.url

    def raise_for_status(self) -> None:
        """Accepts 2xx.

        Raises:
            UpstreamStatus: any other status, with its Retry-After.
        """
        if not 200 <= self.status < 300:
            wait = retry_after(self.headers.get("retry-after"), datetime.now(UTC))
            raise UpstreamStatus(self.status, origin=self.target.origin, retry_after=wait)


@dataclass(slots=True)
class Response(BufferedResponse):
    """An answer with its whole decoded body in memory."""

    content: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            BadBody: it is none, or nested too deeply.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise BadBody(
                f"{self.target.origin} answered with something that is not JSON"
            ) from None


@dataclass(slots=True)
class Download(BufferedResponse):
    """A finished download: after status 304 there is no file, and the figures are zero."""

    bytes_received: int
    """Bytes of the body on the wire."""
    bytes_expanded: int
    """Bytes of the file."""
    sha256: str
    """Of the file's content, in hexadecimal."""


@dataclass(slots=True)
class StreamedResponse(BufferedResponse):
    """An answer whose body has not been read yet; valid within its `async with`."""

    decoder: Decoder = field(repr=False)
    body: AsyncIterable[bytes] = field(repr=False)
    deadline: float = field(repr=False)

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """The decoded body in pieces of at most some MiB, usually far less; can be read once.

        Raises:
            TooLarge: a limit of the request is passed.
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
        # Data that is always there never lets a timer fire, so the clock is read as well.
        if asyncio.get_running_loop().time() > self.deadline:
            raise TimeoutError
        async with asyncio.timeout_at(self.deadline):
            return await anext(chunks, b"")
