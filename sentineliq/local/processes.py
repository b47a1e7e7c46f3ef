"""How processes are started: servers by exec, Python services by fork from the nursery.

Each child leads a session of its own (so that the terminal's Ctrl-C reaches only the supervisor), writes to a pipe that
we read, and gets a signal when we die.
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
from sentineliq.local.launcher import Launcher, dying_with_parent, identity

_LINE_LIMIT = 1 << 20
_LOST = -int(signal.SIGKILL)


class Child(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group's."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it and its own children write to stdout and stderr."""

    async def wait(self) -> int:
        """Its exit code; the negative signal's number when one ended it."""


@dataclass(frozen=True)
class PythonProcess:
    """A Python process to start: `main(arguments)` of a module, under its own environment.

    Args:
        name: shown in logs and `ps`.
        module: has a function `main(list[str])` that returns an exit code or None.
        arguments: what it is given.
        environment: its whole environment.
    """

    name: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str]


async def start_server(launcher: Launcher) -> Child:
    """Start a server process. Must run on a thread that lives as long as the supervisor."""
    command = await asyncio.to_thread(launcher.command)
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        limit=_LINE_LIMIT,
        env={**os.environ, **launcher.environment},
        cwd="/",
        start_new_session=True,
        preexec_fn=dying_with_parent(launcher.stop_signal),
        **identity(launcher.user),
    )


@dataclass
class _Forked:
    pid: int
    stdout: asyncio.StreamReader
    ended: asyncio.Future[int]

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)


@dataclass
class ForkServer:
    """Our side of `sentineliq.local.fork_server`; it is started when wanted, and again when it was lost.

    Args:
        preload: the module that it imports before it forks anything.
    """

    preload: str
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _server: asyncio.subprocess.Process | None = None
    _control: socket.socket | None = None
    _started: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue)
    _children: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start it; it imports while we do something else."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sentineliq.local.fork_server", self.preload),
                stdin=theirs.fileno(),
                stdout=PIPE,
                start_new_session=True,
                preexec_fn=dying_with_parent(signal.SIGTERM),
            )
        self._control, self._started = ours, asyncio.Queue()
        self._reading = asyncio.create_task(self._read(self._server))

    async def start(self, process: PythonProcess) -> Child:
        """Fork a Python process.

        Raises:
            StackError: the nursery could not import what is to be shared; it said why on stderr.
        """
        async with self._turn:
            if self._control is None:
                await self.open()
            assert self._control is not None  # noqa: S101  # open() has set it
            stdout, writing = await _pipe()
            try:
                socket.send_fds(
                    self._control, [json.dumps(asdict(process)).encode() + b"\n"], [writing]
                )
            except OSError as error:
                raise StackError(
                    f"the nursery was lost before it started {process.name}"
                ) from error
            finally:
                os.close(writing)
            pid = await self._started.get()
            if pid is None:
                raise StackError(
                    f"the nursery ended before it started {process.name}; it said why above"
                )
            return _Forked(pid, stdout, self._children[pid])

    async def close(self) -> None:
        """End it. Its children are expected to have ended."""
        self._lose()
        if self._server is not None and self._reading is not None:
            await self._server.wait()
            await self._reading

    async def _read(self, server: asyncio.subprocess.Process) -> None:
        assert server.stdout is not None  # noqa: S101  # asked for above
        while line := await server.stdout.readline():
            match line.decode().split():
                case ["started", pid]:
                    self._children[int(pid)] = asyncio.get_running_loop().create_future()
                    self._started.put_nowait(int(pid))
                case ["ended", pid, code]:
                    self._end(int(pid), int(code))
        await server.wait()
        self._lose()
        self._started.put_nowait(None)

    def _lose(self) -> None:
        """Nobody tells us any more how its children end: they count as lost, and their keepers make sure of it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        for pid in list(self._children):
            self._end(pid, _LOST)

    def _end(self, pid: int, code: int) -> None:
        if ended := self._children.pop(pid, None):
            ended.set_result(code)


async def _pipe() -> tuple[asyncio.StreamReader, int]:
    """A pipe: what reads from it, and the descriptor to write to."""
    reading, writing = os.pipe()
    stdout = asyncio.StreamReader(limit=_LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(reading, "rb")
    )
    return stdout, writing


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and all that it started; nothing when none of them is left."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
