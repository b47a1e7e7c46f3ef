"""Documents read beside the API: at most two at a time, each in a process with limits of its own (`extracting`).

A process starts with the first document, stays for the next ones, and ends after a while without any.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final

import msgspec

from services.observables.reports.extraction import Extraction, Mentioned
from services.observables.reports.extraction_process import HEAD, READY, Limits, Named, Refused
from services.observables.reports.service import Report
from shared.errors import InvalidInput, TooLargeInput, Unavailable
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

AT_ONCE: Final = 2
"""Documents that are read at the same time."""

PATIENCE: Final = 10.0
"""Seconds a document waits for its turn."""

IDLE: Final = 180.0
"""Seconds after which a process without work ends."""

_LONGEST: Final = 3.0
"""Seconds by the clock for a second of processor time, when others take the processors."""

_RETRY_AFTER: Final = 5.0
_MEDIA_TYPE: Final = 1_000
_COMMAND: Final = [sys.executable, "-P", "-m", "services.observables.reports.extraction_process"]
_BROKEN: Final = (
    "This document cannot be read: it is broken, or unfolds to more than fits into memory."
)

_Mark = Callable[[Extraction], Report]


class _Ended(Exception):  # what it means, the exit code says
    """The process ended, or did not answer in time."""


class _Process:
    """One process that reads documents, one at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._socket, theirs = socket.socketpair()
        command = [*_COMMAND, msgspec.json.encode(limits).decode()]
        # Of our environment it needs nothing, secrets least of all.
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - a string is what is wanted
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - a command of our own
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env={"PYTHONPATH": paths}
            )
        self._socket.settimeout(_LONGEST * limits.seconds)
        self.timer: threading.Timer | None = None

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def read(self, document: IO[bytes], media_type: str) -> tuple[Named | Refused, list[bytes]]:
        """What it says about a document, and the lists that follow, still encoded.

        Raises:
            TooLargeInput: it took too much memory or time.
            InvalidInput: the process broke down over it.
            RuntimeError: the process has a fault; its own words are on our standard error.
        """
        try:
            socket.send_fds(
                self._socket, [f"{media_type[:_MEDIA_TYPE]}\n".encode()], [document.fileno()]
            )
            said = msgspec.msgpack.decode(self._frame(), type=Named | Refused)
            return said, [self._frame() for _ in range(said.frames)] if isinstance(
                said, Named
            ) else []
        except TimeoutError:
            raise TooLargeInput(self._limits.too_slow()) from None
        except (OSError, _Ended):
            raise self._why() from None

    def ready(self) -> bool:
        """Whether it takes another document."""
        try:
            return self._socket.recv(1) == READY
        except OSError:
            return False

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def end(self) -> None:
        """End it and wait until it has."""
        self._socket.close()
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def _frame(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(HEAD), "big"))

    def _exactly(self, size: int) -> bytes:
        taken = bytearray(size)
        rest = memoryview(taken)
        while rest:
            if not (count := self._socket.recv_into(rest)):
                raise _Ended
            rest = rest[count:]
        return bytes(taken)

    def _why(self) -> Exception:
        """What the end of the process means: for whoever sent the document, or for us."""
        self._socket.close()
        code = self._process.wait()
        log.warning("extract.process_ended", code=code)
        if code == -signal.SIGPROF:
            return TooLargeInput(self._limits.too_slow())
        if code == -signal.SIGKILL:  # by the kernel, which was short of memory
            return TooLargeInput(self._limits.too_much_memory())
        return (
            InvalidInput(_BROKEN)
            if code < 0
            else RuntimeError(f"the process reading documents ended with {code}")
        )


class _Errand:
    """A document on its way: the process that reads it, and whether anybody waits for it."""

    def __init__(self) -> None:
        self.process: _Process | None = None
        self.dropped = False

    def drop(self) -> None:
        """Nobody waits any more."""
        self.dropped = True
        if (process := self.process) is not None:
            process.kill()


class ExtractionPool:
    """The processes that read documents for one API.

    Args:
        limits: of each of them.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        # Threads of their own: those that look values up must not wait for documents. And they have to live as long
        # as the processes, which end with the thread that started them.
        self._threads = ThreadPoolExecutor(AT_ONCE, "extract")
        self._idle: list[_Process] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _end_all, self._idle)

    async def report(self, document: IO[bytes], media_type: str, mark: _Mark) -> bytes:
        """What a document names, as JSON in the shape of `Report`.

        Args:
            document: an open file, flushed.
            media_type: its `Content-Type`.
            mark: from what is named to what is known of it; asked for some thousand values at a time.

        Raises:
            Unavailable: others were still being read after `PATIENCE` seconds.
            TooLargeInput: it takes too much memory or time.
            InvalidInput: it cannot be read.
        """
        errand = _Errand()
        job = self._threads.submit(self._run, errand, document, media_type, mark)
        answer = asyncio.wrap_future(job)
        try:
            done, _ = await asyncio.wait([answer], timeout=PATIENCE)
            if not done and job.cancel():
                raise _busy()
            return await answer
        except asyncio.CancelledError:
            answer.cancel()
            errand.drop()
            raise

    def _run(self, errand: _Errand, document: IO[bytes], media_type: str, mark: _Mark) -> bytes:
        process = errand.process = self._take()
        if errand.dropped:
            process.end()
            raise _busy()
        try:
            said, frames = process.read(document, media_type)
            ready = process.ready()
        except BaseException:
            process.kill()
            process.end()
            raise
        finally:
            errand.process = None
        self._keep(process) if ready else process.end()
        if isinstance(said, Refused):
            raise (TooLargeInput if said.large else InvalidInput)(said.message, **said.details)
        return _report(said, frames, mark)

    def _take(self) -> _Process:
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return _Process(self._limits)
            if process.timer:
                process.timer.cancel()
            if process.alive:
                return process
            process.end()

    def _keep(self, process: _Process) -> None:
        process.timer = threading.Timer(IDLE, _retire, (self._idle, self._lock, process))
        process.timer.daemon = True
        with self._lock:
            self._idle.append(process)
        process.timer.start()


def _busy() -> Unavailable:
    error = Unavailable(
        f"{AT_ONCE} other documents are being read: send this one again in a few seconds."
    )
    error.retry_after = _RETRY_AFTER
    return error


def _retire(idle: list[_Process], lock: threading.Lock, process: _Process) -> None:
    with lock:
        if process not in idle:
            return
        idle.remove(process)
    process.end()


def _end_all(idle: list[_Process]) -> None:
    for process in idle:
        if process.timer:
            process.timer.cancel()
        process.end()


def _report(said: Named, frames: list[bytes], mark: _Mark) -> bytes:
    """The answer, put together of pieces that are done one after another: all at once would take all the memory."""
    pieces: list[bytes] = []
    frames.reverse()
    while frames:
        some = msgspec.msgpack.decode(frames.pop(), type=list[Mentioned])
        pieces.append(
            msgspec.json.encode(mark(Extraction(some, [], 0, None, [])).observables)[1:-1]
        )
    rest = {
        "attack": said.attack,
        "characters": said.characters,
        "pages": said.pages,
        "notes": said.notes,
    }
    return b"".join((b'{"observables":[', b",".join(pieces), b"],", msgspec.json.encode(rest)[1:]))
