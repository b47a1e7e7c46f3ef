"""A service that writes down every request that it gets, read by a parser of another kind.

It answers as the path asks: `/v1/echo` with what it saw, `/v1/bytes?n=` with so many bytes, and
with every kind of trouble that a service can be in.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import h11

PIECE = b"x" * 65536


class RecordedRequest(NamedTuple):
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


def recorded(head: h11.Request, body: bytes) -> RecordedRequest:
    """What h11 has read."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    return RecordedRequest(head.method.decode(), head.target.decode("latin-1"), headers, body)


class RecordingUpstream:
    """The service. `requests` holds what it has read whole, `unreadable` what it could not read."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.unreadable: list[str] = []
        self.connections = 0
        self.open_connections = 0
        self.ended_streams = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self.end_connections()

    async def end_connections(self) -> None:
        """End all connections at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self.open_connections += 1
        rest = b""
        try:
            while True:
                request, rest = await self._read(reader, writer, rest)
                if request is None or not await self._answer(request, writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            self.open_connections -= 1
            writer.close()

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes
    ) -> tuple[RecordedRequest | None, bytes]:
        """Read a request by h11; return it with the bytes that follow it."""
        line = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        if rest:
            line.receive_data(rest)
        head: h11.Request | None = None
        body = bytearray()
        try:
            while not isinstance(event := line.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    line.receive_data(await self._receive(reader, head))
                elif isinstance(event, h11.Request):
                    head = event
                    await self._refuse_early(head, writer)
                elif isinstance(event, h11.Data):
                    body += event.data
        except h11.RemoteProtocolError as error:
            self.unreadable.append(str(error))
            return None, b""
        assert head is not None
        return recorded(head, bytes(body)), line.trailing_data[0]

    async def _receive(self, reader: asyncio.StreamReader, head: h11.Request | None) -> bytes:
        data = await reader.read(65536)
        if not data and head is None:
            raise ConnectionError("the client has ended it")
        return data

    async def _refuse_early(self, head: h11.Request, writer: asyncio.StreamWriter) -> None:
        if b"/v1/refuse-early" in head.target:
            writer.write(b"HTTP/1.1 413 No\r\ncontent-length: 5\r\nconnection: close\r\n\r\nearly")
            await writer.drain()
            raise ConnectionError("refused")

    async def _answer(self, request: RecordedRequest, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(request)
        parts = urlsplit(request.target)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        kind = parts.path.rpartition("/")[2]
        answer = getattr(self, f"_answer_{kind.replace('-', '_')}", None) or self._answer_echo
        is_kept: bool = await answer(request, writer, options)
        return is_kept

    async def _answer_echo(
        self, request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        document: dict[str, Any] = {
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "size": len(request.body),
        }
        body = json.dumps(document).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nServer: upstream\r\n"
            b"Set-Cookie: session=of-a-service\r\nAccess-Control-Allow-Origin: *\r\n"
            b"Connection: x-private, keep-alive\r\nX-Private: hop\r\nX-Kept: kept\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        if request.method != "HEAD":
            writer.write(body)
        await writer.drain()
        return True

    async def _answer_bytes(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, options: dict[str, str]
    ) -> bool:
        """Chunks of 64 KiB."""
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        left = int(options["n"])
        while left > 0:
            piece = PIECE[:left]
            left -= len(piece)
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _answer_events(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        """Server-sent events without end."""
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n"
        )
        number = 0
        try:
            while True:
                event = b"data: %d\n\n" % number
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                await writer.drain()
                number += 1
                await asyncio.sleep(0.05)
        finally:
            self.ended_streams += 1

    async def _answer_hang(
        self, _request: RecordedRequest, _writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        await asyncio.sleep(600)
        return False

    async def _answer_stall(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        """The beginning of an answer, and no more."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning")
        await writer.drain()
        await asyncio.sleep(600)
        return False

    async def _answer_break(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        """The beginning of an answer, and the end of the connection."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning")
        await writer.drain()
        return False

    async def _answer_vanish(
        self, _request: RecordedRequest, _writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        """No answer, and the end of the connection."""
        return False

    async def _answer_nonsense(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        return False

    async def _answer_twice(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        """Two answers to one request: the second must reach nobody."""
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"
        writer.write(answer % (5, b"first") + answer % (6, b"second"))
        await writer.drain()
        return True

    async def _answer_until_end(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        """A body without a length, whole by the end of the connection."""
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nwhole")
        await writer.drain()
        return False

    async def _answer_continue(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        """An answer before the answer."""
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfinal")
        await writer.drain()
        return True

    async def _answer_empty(
        self, _request: RecordedRequest, writer: asyncio.StreamWriter, _options: dict[str, str]
    ) -> bool:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        return True


@contextmanager
def recording_upstream() -> Iterator[tuple[RecordingUpstream, asyncio.AbstractEventLoop]]:
    """Run the service on a thread of its own."""
    loop = asyncio.new_event_loop()
    upstream = RecordingUpstream()
    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(upstream.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield upstream, loop
    finally:
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(upstream.stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
