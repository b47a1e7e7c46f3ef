"""The API's end of a process that reads documents."""

import os
import signal
import socket
import subprocess
import sys
import threading
from typing import IO, Final

import msgspec

from services.observables.reports.extraction_process import (
    HEAD,
    READY,
    ExtractionHeader,
    ProcessLimits,
    Rejection,
)
from shared.errors import InvalidInput, TooLargeInput
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_CLOCK_FACTOR: Final = 3.0
"""Seconds by the clock for a second of processor time, when other processes compete."""

_STOP_SECONDS: Final = 0.5
_MAX_MEDIA_TYPE: Final = 1_000
_COMMAND: Final = [sys.executable, "-P", "-m", "services.observables.reports.extraction_process"]
_BROKEN: Final = (
    "This document cannot be read: it is broken, or unfolds to more than fits into memory."
)


class _ProcessEnded(Exception):
    """The process closed its end of the socket; its exit code tells why."""


class ExtractionClient:
    """Starts a process and sends it one document at a time.

    Args:
        limits: of the process.

    Attributes:
        timer: ends the process when it is idle for too long.
    """

    def __init__(self, limits: ProcessLimits) -> None:
        self._limits = limits
        self._socket, child_end = socket.socketpair()
        command = [*_COMMAND, msgspec.json.encode(limits).decode()]
        # The process needs nothing of this environment, least of all its secrets.
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        with child_end:
            self._process = subprocess.Popen(  # noqa: S603  # a constant command
                command,
                stdin=child_end.fileno(),
                stdout=subprocess.DEVNULL,
                env={"PYTHONPATH": paths},
            )
        self._socket.settimeout(_CLOCK_FACTOR * limits.seconds)
        self.timer: threading.Timer | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def extract(
        self, document: IO[bytes], media_type: str
    ) -> tuple[ExtractionHeader | Rejection, list[bytes]]:
        """Send a document; return the answer, and the encoded lists of observables behind it.

        Raises:
            TooLargeInput: it took too much memory or time.
            InvalidInput: the process broke down over it.
            RuntimeError: the process has a fault; its standard error tells more.
        """
        try:
            line = f"{media_type[:_MAX_MEDIA_TYPE]}\n".encode()
            socket.send_fds(self._socket, [line], [document.fileno()])
            answer = msgspec.msgpack.decode(self._frame(), type=ExtractionHeader | Rejection)
            if isinstance(answer, Rejection):
                return answer, []
            return answer, [self._frame() for _ in range(answer.frames)]
        except TimeoutError:
            raise TooLargeInput(self._limits.too_slow()) from None
        except (OSError, _ProcessEnded):
            raise self._reason() from None

    def is_ready(self) -> bool:
        """Whether the process takes another document; waits for its word."""
        try:
            return self._socket.recv(1) == READY
        except OSError:
            return False

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()

    def close(self) -> None:
        """End the process and wait until it has."""
        self._socket.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def _frame(self) -> bytes:
        return self._receive(int.from_bytes(self._receive(HEAD), "big"))

    def _receive(self, size: int) -> bytes:
        """Exactly so many bytes."""
        received = bytearray(size)
        rest = memoryview(received)
        while rest:
            if not (count := self._socket.recv_into(rest)):
                raise _ProcessEnded
            rest = rest[count:]
        return bytes(received)

    def _reason(self) -> Exception:
        """The error that the end of the process stands for."""
        self._socket.close()
        code = self._process.wait()
        log.warning("extract.process_ended", code=code)
        if code == -signal.SIGPROF:
            return TooLargeInput(self._limits.too_slow())
        if code == -signal.SIGKILL:  # by the kernel, which was short of memory
            return TooLargeInput(self._limits.too_much_memory())
        if code < 0:
            return InvalidInput(_BROKEN)
        return RuntimeError(f"the process reading documents ended with {code}")
