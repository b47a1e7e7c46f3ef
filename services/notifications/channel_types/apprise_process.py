"""The other end of `apprise_child`: a few processes of Apprise, kept while there is work."""

import asyncio
import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import msgspec

from services.notifications.channel_types.apprise_orders import (
    LENGTH,
    AppriseAnswer,
    AppriseOrder,
)
from shared.errors import Unavailable

MAX_PROCESSES: Final = 4
"""Messages that a worker sends by Apprise at the same time."""
PLACE_SECONDS: Final = 4.0
"""For so long a message waits for one of them."""
_POLL_SECONDS: Final = 0.02
_COMMAND: Final = (sys.executable, "-P", "-m", "services.notifications.channel_types.apprise_child")

_places = threading.BoundedSemaphore(MAX_PROCESSES)
_lock = threading.Lock()
_idle: list["_Process"] = []
# A process ends with the thread that started it.
_starter: Final = ThreadPoolExecutor(1, "apprise")


class _Process:
    """A process of Apprise, in a process group of its own."""

    def __init__(self) -> None:
        self._socket, child_end = socket.socketpair()
        self._socket.setblocking(False)
        # The child needs nothing of this environment, least of all its secrets and proxies.
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        with child_end:
            self._process = subprocess.Popen(  # noqa: S603  # a constant command
                _COMMAND,
                stdin=child_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": paths, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    async def do(self, order: AppriseOrder) -> AppriseAnswer:
        """Hand an order over, and wait for its answer.

        Raises:
            ConnectionError: the process has ended.
        """
        loop = asyncio.get_running_loop()
        content = msgspec.json.encode(order)
        await loop.sock_sendall(self._socket, LENGTH.pack(len(content)) + content)
        length = LENGTH.unpack(await self._receive(LENGTH.size))[0]
        return msgspec.json.decode(await self._receive(length), type=AppriseAnswer)

    async def _receive(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        received = b""
        while len(received) < size:
            piece = await loop.sock_recv(self._socket, size - len(received))
            if not piece:
                raise ConnectionResetError("a process of Apprise has ended")
            received += piece
        return received

    def close(self) -> None:
        """End it now, with the process that sends."""
        self._socket.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@atexit.register
def _close_idle() -> None:
    with _lock:
        while _idle:
            _idle.pop().close()


async def do_order(order: AppriseOrder, seconds: float) -> AppriseAnswer:
    """Let a process of Apprise do what an order asks for.

    Args:
        order: what is to be done.
        seconds: for a process to start and to answer, beside `PLACE_SECONDS`.

    Returns:
        What became of it; TIMEOUT if the process did not answer in time.

    Raises:
        Unavailable: other messages are being sent, or no process can be started.
    """
    await _wait_for_place()
    try:
        process = await _take_or_start()
        try:
            async with asyncio.timeout(seconds):
                answer = await process.do(order)
        except BaseException:
            process.close()
            raise
    except TimeoutError:
        return AppriseAnswer("TIMEOUT", "Apprise took too long.", may_have_arrived=True)
    except ConnectionError:
        return AppriseAnswer("TIMEOUT", "The process of Apprise ended.", may_have_arrived=True)
    finally:
        _places.release()
    with _lock:
        _idle.append(process)
    return answer


async def _take_or_start() -> _Process:
    """A process that has nothing to do, or a new one.

    Raises:
        Unavailable: none can be started.
    """
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.is_alive:
                return process
            process.close()
    try:
        return await asyncio.get_running_loop().run_in_executor(_starter, _Process)
    except OSError as error:
        raise Unavailable(f"Apprise cannot be run: {error}") from error


async def _wait_for_place() -> None:
    """Take a place; the workers' threads and loops share them.

    Raises:
        Unavailable: there is none in time.
    """
    try:
        async with asyncio.timeout(PLACE_SECONDS):
            while not _places.acquire(blocking=False):  # noqa: ASYNC110  # of no single loop
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise Unavailable("Other messages are being sent by Apprise.") from None
