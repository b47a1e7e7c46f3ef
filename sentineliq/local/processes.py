"""Starts processes: servers by exec, Python services by a fork of the fork server.

Each child leads a session of its own, so that the terminal's Ctrl-C reaches only the supervisor. It
writes to a pipe that the supervisor reads, and gets a signal when the supervisor dies.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Protocol

from sentineliq.local.errors import StackError
from sentineliq.local.server import Server, dying_with_parent, identity

_LINE_LIMIT = 1 << 20
_UMASK = 0o077
"""Files of the processes are their account's alone."""
_LOST = -int(signal.SIGKILL)
"""The exit code of a child whose end the fork server did not report."""


class Child(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group's."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """The output of it and its own children, stderr included."""

    async def wait(self) -> int:
        """Its exit code; the negative signal's number when a signal ended it."""


@dataclass(frozen=True)
class PythonProcess:
    """A Python process to start: `main(arguments)` of a module, under its own environment.

    Args:
        name: `<service>-<kind>`, for logs and `ps`.
        module: has a function `main(list[str])` that returns an exit code or None.
        arguments: the arguments of `main`.
        environment: its whole environment.
    """

    name: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str]


async def start_server(server: Server) -> Child:
    """Start a server. Must run on a thread that lives as long as the supervisor."""
    command = await asyncio.to_thread(server.command)
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        limit=_LINE_LIMIT,
        env={**os.environ, **server.environment},
        cwd="/",
        start_new_session=True,
        umask=_UMASK,
        preexec_fn=dying_with_parent(server.stop_signal),
        **identity(server.user),
    )


@dataclass
class _ForkedChild:
    pid: int
    stdout: asyncio.StreamReader
    exit_code: asyncio.Future[int]

    async def wait(self) -> int:
        return await asyncio.shield(self.exit_code)


@dataclass
class ForkServer:
    """The supervisor's side of `sentineliq.local.fork_server`.

    It is started when it is needed, and again when it was lost.

    Args:
        preload: the module that it imports before it forks anything.
    """

    preload: str
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _server: asyncio.subprocess.Process | None = None
    _control: socket.socket | None = None
    _started: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue)
    _children: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start it; it imports while the caller goes on."""
        own_end, server_end = socket.socketpair()
        with server_end:
            self._server = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sentineliq.local.fork_server", self.preload),
                stdin=server_end.fileno(),
                stdout=PIPE,
                start_new_session=True,
                umask=_UMASK,
                preexec_fn=dying_with_parent(signal.SIGTERM),
            )
        self._control = own_end
        self._started = asyncio.Queue()
        self._reader = asyncio.create_task(self._read(self._server))

    async def start(self, process: PythonProcess) -> Child:
        """Fork a Python process.

        Raises:
            StackError: the fork server could not import the preloaded module; its stderr says why.
        """
        async with self._turn:
            if self._control is None:
                await self.open()
            assert self._control is not None  # noqa: S101  # open() has set it
            stdout, write_end = await _pipe()
            request = json.dumps(asdict(process)).encode() + b"\n"
            try:
                socket.send_fds(self._control, [request], [write_end])
            except OSError as error:
                raise StackError(
                    f"the fork server was lost before it started {process.name}"
                ) from error
            finally:
                os.close(write_end)
            pid = await self._started.get()
            if pid is None:
                raise StackError(
                    f"the fork server ended before it started {process.name}; see the lines above"
                )
            return _ForkedChild(pid, stdout, self._children[pid])

    async def close(self) -> None:
        """End it. Its children are expected to have ended."""
        self._disconnect()
        if self._server is not None and self._reader is not None:
            await self._server.wait()
            await self._reader

    async def _read(self, server: asyncio.subprocess.Process) -> None:
        assert server.stdout is not None  # noqa: S101  # it was started with a pipe
        while line := await server.stdout.readline():
            match line.decode().split():
                case ["started", pid]:
                    self._children[int(pid)] = asyncio.get_running_loop().create_future()
                    self._started.put_nowait(int(pid))
                case ["ended", pid, code]:
                    self._set_ended(int(pid), int(code))
        await server.wait()
        self._disconnect()
        self._started.put_nowait(None)

    def _disconnect(self) -> None:
        """Without the fork server no end of a child is reported: its children count as lost.

        Their `ManagedProcess`es make sure that they are gone.
        """
        if self._control is not None:
            self._control.close()
            self._control = None
        for pid in list(self._children):
            self._set_ended(pid, _LOST)

    def _set_ended(self, pid: int, code: int) -> None:
        if exit_code := self._children.pop(pid, None):
            exit_code.set_result(code)


async def _pipe() -> tuple[asyncio.StreamReader, int]:
    """A pipe: its reader, and the descriptor to write to."""
    read_end, write_end = os.pipe()
    stdout = asyncio.StreamReader(limit=_LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(read_end, "rb")
    )
    return stdout, write_end


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and all that it started; nothing when none of them is left."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
