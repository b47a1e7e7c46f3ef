"""Real servers on loopback sockets that say exactly the bytes a test wants."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers requests with `handler(head, writer)`, or with fixed bytes; counts connections."""

    def __init__(
        self,
        answer: bytes | Handler = b"",
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ):
        self._answer = answer
        self._tls = tls
        self._host = host
        self.connections = 0
        self.requests: list[bytes] = []
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def url(self, path: str = "/", host: str | None = None) -> str:
        return f"{'https' if self._tls else 'http'}://{host or self._host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would report a cancelled handler as unhandled
        finally:
            self._open.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                head += await reader.readexactly(int(line.partition(b":")[2]))
        self.requests.append(head)
        if isinstance(self._answer, bytes):
            writer.write(self._answer)
        else:
            await self._answer(head, writer)
        await writer.drain()


def answer(body: bytes = b"", status: int = 200, *fields: str, length: int | None = None) -> bytes:
    """The bytes of an HTTP answer; `length` is a Content-Length other than the true one."""
    head = [
        f"HTTP/1.1 {status} X",
        f"Content-Length: {len(body) if length is None else length}",
        *fields,
    ]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body


def redirect(location: str, status: int = 302, body: bytes = b"", *fields: str) -> bytes:
    """The bytes of a redirect."""
    return answer(body, status, f"Location: {location}", *fields)


class Served:
    """What the tests use, as one fixture."""

    Server = Server
    answer = staticmethod(answer)
    redirect = staticmethod(redirect)


@pytest.fixture
def http() -> type[Served]:
    return Served


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
