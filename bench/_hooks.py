"""Events at a steady rate, and receivers of webhooks that note when they arrive."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from sentineliq.local.stack import Stack
from shared.events import Event
from shared.events.observables import CHANGED, Change, ObservablesChanged
from shared.settings import Settings


class Hook:
    """A receiver that notes when each value arrives first, and how often."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.messages: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer 204 to every POST of a connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                self.note(json.loads(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        writer.close()

    def note(self, document: dict[str, Any]) -> None:
        """Note a message: ours has an id, the bare loop's has none."""
        now = time.perf_counter()
        matches = document["data"]["matches"] if "data" in document else document["changes"]
        for match in matches:
            self.arrived.setdefault(match["value"], now)
        if "id" in document:
            self.messages[document["id"]] = self.messages.get(document["id"], 0) + 1


@asynccontextmanager
async def receiving(hook: Hook) -> Any:
    """The address of a server that notes what it receives."""
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


def settings_of(stack: Stack) -> Settings:
    """The settings of the stack's own processes."""
    os.environ.update(stack.environment)
    return Settings()  # type: ignore[call-arg]  # of the environment


def change_event(value: str, tenant: str = "acme") -> Event[ObservablesChanged]:
    """A new observable, which a feed of the bench has brought."""
    change = Change(id=f"ipv4-addr--{uuid4()}", type="ipv4-addr", value=value, kind="new", score=90)
    data = ObservablesChanged(uuid4(), "bench", [change])
    key = value.encode()
    return Event(CHANGED, data, tenant, "/services/observables", key=key, id=str(uuid4()))


async def publish_evenly(
    publish: Callable[[str], Awaitable[object]], values: list[str], rate: float
) -> dict[str, float]:
    """Publish a value each 1/rate seconds; when each was."""
    started = time.perf_counter()
    times = {}
    for number, value in enumerate(values):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        times[value] = time.perf_counter()
        await publish(value)
    return times


async def wait_for(hooks: tuple[Hook, ...], values: list[str], seconds: float = 60.0) -> None:
    """Wait until all hooks have all values.

    Raises:
        TimeoutError: some have not arrived.
    """
    end = time.perf_counter() + seconds
    while not all(hook.arrived.keys() >= set(values) for hook in hooks):
        if time.perf_counter() > end:
            missing = [len(set(values) - hook.arrived.keys()) for hook in hooks]
            raise TimeoutError(f"{missing} of {len(values)} events have not arrived")
        await asyncio.sleep(0.05)
