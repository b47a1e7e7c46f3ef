"""The supervisor's components: servers, which it probes, and services, which report to it."""

import asyncio
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from sentineliq.local.processes import Child, ForkServer, PythonProcess, start_server
from sentineliq.local.server import Server

_POLL = 0.05
Readiness = Callable[[], Coroutine[None, None, None]]


class Component(Protocol):
    """One process to start, and perhaps to keep running."""

    @property
    def name(self) -> str:
        """Its name in logs, messages and the registry."""

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that asks it to stop in order."""

    def started(self) -> AbstractAsyncContextManager[tuple[Child, Readiness]]:
        """Start it anew; leave the context when the process has ended.

        Returns:
            The process, and a function that waits until it is ready. Cancel that when the process
            ends before.

        Raises:
            StackError: it cannot start; the message says what to do.
        """


@dataclass(frozen=True)
class ServerProcess:
    """PostgreSQL, Valkey or Kafka.

    Args:
        server: knows the program.
    """

    server: Server

    @property
    def name(self) -> str:
        """The server's name."""
        return self.server.name

    @property
    def stop_signal(self) -> signal.Signals:
        """The server's signal."""
        return self.server.stop_signal

    @asynccontextmanager
    async def started(self) -> AsyncIterator[tuple[Child, Readiness]]:
        """Prepare and start it; it is probed until it answers."""
        await asyncio.to_thread(self.server.prepare)
        yield await start_server(self.server), self._wait_until_ready

    async def _wait_until_ready(self) -> None:
        # Another program raises no event: it is polled.
        while not await asyncio.to_thread(self.server.is_ready):  # noqa: ASYNC110
            await asyncio.sleep(_POLL)


@dataclass(frozen=True)
class ServiceProcess:
    """A Python process that sends `READY=1` to the datagram socket in `NOTIFY_SOCKET`.

    This is the protocol of sd_notify.

    Args:
        process: what to start.
        fork_server: where it is forked.
    """

    process: PythonProcess
    fork_server: ForkServer
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def name(self) -> str:
        """The process's name."""
        return self.process.name

    @asynccontextmanager
    async def started(self) -> AsyncIterator[tuple[Child, Readiness]]:
        """Fork it with a socket of its own."""
        with (
            # Not in the data folder: a socket's path holds 107 bytes at most.
            tempfile.TemporaryDirectory(prefix="sentineliq-") as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
        ):
            address = str(Path(folder) / "notify")
            listener.setblocking(False)
            listener.bind(address)
            environment = {**self.process.environment, "NOTIFY_SOCKET": address}
            process = replace(self.process, environment=environment)
            child = await self.fork_server.start(process)
            yield child, partial(_wait_for_notice, listener)


async def _wait_for_notice(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while b"READY=1" not in (await loop.sock_recv(listener, 4096)).split(b"\n"):
        pass
