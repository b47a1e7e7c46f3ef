"""A server on loopback with any asyncio protocol, in a thread of its own."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def serving(protocol: Callable[[], Any], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of the server; its protocols have their transport as `transport`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    connections: list[Any] = []

    def connect() -> Any:
        connections.append(protocol())
        return connections[-1]

    async def start() -> asyncio.Server:
        return await loop.create_server(connect, "127.0.0.1", 0, ssl=context)

    async def stop() -> None:
        server.close()
        for connection in connections:
            if connection.transport is not None:
                connection.transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
