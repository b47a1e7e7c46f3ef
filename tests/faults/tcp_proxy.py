"""A TCP proxy that fails on command: frozen, half-open, cut, slow, or gone after some bytes.

    with TcpProxy("127.0.0.1", 5432) as proxy:
        connect("127.0.0.1", proxy.port)
        proxy.freeze()  # the peer is there and says nothing, in both directions
        proxy.thaw()

The proxy runs in a thread of its own. A frozen proxy still accepts connections, as the kernel of a
frozen host does; `refuse` ends that. The kernel acknowledges what is sent to a frozen proxy, so
that TCP time-outs do not see it: only limits of the client itself do.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_READ_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards connections to an address; its methods may be called from any thread.

    Args:
        host: of the server behind it.
        port: of the server behind it.
        listen_port: of the proxy; a free one when 0.
    """

    def __init__(self, host: str, port: int, listen_port: int = 0) -> None:
        self._target = (host, port)
        self._latency = 0.0
        self._bytes_left: int | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted = 0
        self._is_flowing = asyncio.Event()
        self._is_flowing.set()
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", listen_port), backlog=128)
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._accept())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def accepted(self) -> int:
        """How many connections were accepted so far."""
        return self._accepted

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def freeze(self) -> None:
        """Forward nothing in either direction, of old and new connections; close none."""
        self._call(self._is_flowing.clear)

    def thaw(self) -> None:
        """Forward again, first what has waited."""
        self._call(self._is_flowing.set)

    def delay(self, seconds: float) -> None:
        """Let each block of bytes wait, in both directions; 0 ends it."""
        self._latency = seconds

    def cut(self) -> None:
        """Reset all connections; new ones are accepted."""
        self._call(self._cut)

    def cut_after(self, count: int | None) -> None:
        """Reset each connection, also new ones, once the server has sent so many more bytes.

        Args:
            count: bytes of all connections together; None ends it.
        """
        self._bytes_left = count

    def refuse(self) -> None:
        """Reset all connections and refuse new ones, until `admit`."""
        self._await(self._stop_listening())
        self.cut()

    def admit(self) -> None:
        """Listen again on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._await(self._accept())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10)

    def _call(self, function: Any) -> None:
        async def call() -> None:
            function()

        self._await(call())

    async def _accept(self) -> None:
        self._server = await asyncio.start_server(self._begin, sock=self._listener)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _close(self) -> None:
        await self._stop_listening()
        self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self) -> None:
        for link in list(self._links):
            link.reset()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        link = _Link(writer)
        self._links.add(link)
        try:
            await self._is_flowing.wait()
            with suppress(OSError):
                server_reader, server_writer = await asyncio.open_connection(*self._target)
                link.add(server_writer)
                await asyncio.gather(
                    self._forward(reader, server_writer, link, is_answer=False),
                    self._forward(server_reader, writer, link, is_answer=True),
                )
        finally:
            self._links.discard(link)
            link.close()

    async def _forward(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        link: "_Link",
        *,
        is_answer: bool,
    ) -> None:
        try:
            while data := await source.read(_READ_BYTES):
                if self._latency:
                    await asyncio.sleep(self._latency)
                await self._is_flowing.wait()
                if is_answer and self._bytes_left is not None:
                    data = data[: self._bytes_left]
                    self._bytes_left -= len(data)
                target.write(data)
                await target.drain()
                if is_answer and self._bytes_left == 0:
                    link.reset()
                    return
            await self._is_flowing.wait()
            if target.can_write_eof():
                target.write_eof()
        except OSError:  # one peer has reset the connection: the other one has to know
            await self._is_flowing.wait()
            link.reset()


class _Link:
    """The two sockets of a connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writers = [writer]

    def add(self, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)

    def reset(self) -> None:
        """Close both at once, so that the peers get a reset."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
