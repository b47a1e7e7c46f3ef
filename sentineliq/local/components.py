"""What the supervisor keeps running: a server that is asked whether it is ready, or a service that says so itself."""

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

from sentineliq.local.launcher import Launcher
from sentineliq.local.processes import Child, ForkServer, PythonProcess, start_server

_POLL = 0.05
Readiness = Callable[[], Coroutine[None, None, None]]


class Component(Protocol):
    """One process to start, and perhaps to keep."""

    @property
    def name(self) -> str:
        """Its name in logs, messages and the register."""

    @property
    def stop_signal(self) -> signal.Signals:
        """What asks it to stop in order."""

    def started(self) -> AbstractAsyncContextManager[tuple[Child, Readiness]]:
        """Start it anew; leave the context when the process has ended.

        Returns:
            The process, and what waits until it is ready (to be cancelled when it ends before).

        Raises:
            StackError: it cannot start; the message says what to do.
        """


@dataclass(frozen=True)
class ServerProcess:
    """A part of the infrastructure.

    Args:
        launcher: knows the program.
    """

    launcher: Launcher

    @property
    def name(self) -> str:
        """The launcher's name."""
        return self.launcher.name

    @property
    def stop_signal(self) -> signal.Signals:
        """The launcher's."""
        return self.launcher.stop_signal

    @asynccontextmanager
    async def started(self) -> AsyncIterator[tuple[Child, Readiness]]:
        """Prepare and start it; it is asked again and again until it answers."""
        await asyncio.to_thread(self.launcher.prepare)
        yield await start_server(self.launcher), self._answers

    async def _answers(self) -> None:
        while not await asyncio.to_thread(self.launcher.ready):  # noqa: ASYNC110  # another program raises no event
            await asyncio.sleep(_POLL)


@dataclass(frozen=True)
class ServiceProcess:
    """A Python process that sends `READY=1` to the datagram socket in `NOTIFY_SOCKET` (sd_notify's protocol).

    Args:
        process: what to start.
        nursery: where it is forked.
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
            child = await self.fork_server.start(replace(self.process, environment=environment))
            yield child, partial(_told, listener)


async def _told(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while b"READY=1" not in (await loop.sock_recv(listener, 4096)).split(b"\n"):
        pass
