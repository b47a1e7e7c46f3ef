"""The parent's end of a child."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from shared.errors import InvalidInput, Unavailable
from shared.sandbox import protocol
from shared.sandbox.child import ChildOptions
from shared.sandbox.limits import (
    Cause,
    JobLimits,
    ReaderFault,
    SandboxLimitExceeded,
    limit_error,
)
from shared.sandbox.protocol import JobOrder, JobRefusal
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_COMMAND: Final = [sys.executable, "-P", "-m", "shared.sandbox.child"]
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.25
_TIMER_SLACK_SECONDS: Final = 0.5
"""Seconds by which the parent's limit of processor time is later than the child's own timer."""
_BUFFER_BYTES: Final = 1 << 20
_STOPPED_FROM_OUTSIDE: Final = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
_CAUSES: Final[dict[int, Cause]] = {
    -signal.SIGPROF: "processor-time",
    -signal.SIGXCPU: "processor-time",
    # By the kernel, which was short of memory.
    -signal.SIGKILL: "memory",
}

OnWait = Callable[[], None]
"""Is called while the child computes, some times in a second; may raise to give the job up."""


class SandboxProcess:
    """Starts a child, and gives it one job at a time.

    Args:
        options: of the child.
        errors: classes of errors that jobs may end with, beside `InvalidInput`.

    Attributes:
        timer: ends the child when it is idle for too long.
        is_free: whether it waits for a job.
        holds: what confines it; empty until it is ready.
    """

    def __init__(self, options: ChildOptions, errors: Sequence[type[InvalidInput]] = ()) -> None:
        self.timer: threading.Timer | None = None
        self.is_free = True
        self.holds: list[str] = []
        self._limits = options.limits
        self._errors = {kind.__name__: kind for kind in errors}
        self._ending: Cause | None = None
        self._socket, child_end = socket.socketpair()
        for end in (self._socket, child_end):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        # The child needs nothing of this environment, least of all its secrets.
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        environment = {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
        with child_end:
            try:
                self._process = subprocess.Popen(  # noqa: S603  # a constant command
                    [*_COMMAND, msgspec.json.encode(options).decode()],
                    stdin=child_end.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=environment,
                )
            except OSError as error:
                self._socket.close()
                raise Unavailable(f"No process can be started: {error}") from error
        self._socket.settimeout(_POLL_SECONDS)

    @property
    def pid(self) -> int:
        """The child's number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until the child takes jobs.

        Raises:
            Unavailable: it was stopped before.
            RuntimeError: it did not start; its standard error tells why.
        """
        if self.holds:
            return
        clock = _Clock(_START_SECONDS, None)
        try:
            kind, body = self._message(clock, _BUFFER_BYTES)
        except (_TooLate, OSError, protocol.PeerClosed):
            self.kill()
            code = self._process.wait()
            if code < 0:  # what stopped it was no fault of its own
                raise Unavailable("A process that reads documents did not start.") from None
            raise RuntimeError(f"a process that reads documents ended with {code}") from None
        if kind != protocol.READY:
            raise RuntimeError("a process that reads documents did not say that it is ready")
        self.holds = msgspec.msgpack.decode(body, type=list[str])

    def run(
        self,
        job: str,
        request: bytes,
        files: Sequence[int],
        limits: JobLimits,
        on_wait: OnWait | None = None,
    ) -> Iterator[bytearray]:
        """Run a job; its frames as they come.

        Args:
            job: its function, as `module:name`.
            request: for the function.
            files: descriptors that the child gets.
            limits: of this job.
            on_wait: see `OnWait`.

        Raises:
            SandboxLimitExceeded: the document takes too much, or breaks its reader.
            ReaderFault: the reader has a fault; the log has its trace.
            InvalidInput: the job refused the document.
            Unavailable: the child was stopped from outside.
        """
        self.wait_until_ready()
        self.is_free = False
        clock = _Clock(limits.wall_seconds, on_wait, _ProcessorTime(self.pid, limits.seconds))
        try:
            self._order(job, request, files, limits)
            yield from self._frames(limits, clock)
        except _TooLate as late:
            self._ending = late.cause
            self.kill()
            raise self._exceeded(limits) from None
        except (OSError, protocol.PeerClosed) as error:
            if isinstance(error, OSError) and getattr(error, "is_of_job", False):
                raise
            raise self._reason(limits) from None
        finally:
            if not self.is_free:
                self.kill()

    def _order(self, job: str, request: bytes, files: Sequence[int], limits: JobLimits) -> None:
        body = msgspec.msgpack.encode(JobOrder(job, limits.seconds, request))
        head = protocol.HEAD.pack(protocol.JOB, len(body))
        socket.send_fds(self._socket, [head], list(files))
        self._socket.sendall(body)

    def _frames(self, limits: JobLimits, clock: "_Clock") -> Iterator[bytearray]:
        rest = limits.result
        failure: Exception | None = None
        while True:
            kind, body = self._message(clock, rest)
            if kind == protocol.FRAME:
                rest -= len(body)
                yield body
            elif kind == protocol.REFUSAL:
                failure = self._refused(msgspec.msgpack.decode(body, type=JobRefusal), limits)
            else:
                self.is_free = kind == protocol.END
                break
        if failure is not None:
            raise failure

    def _message(self, clock: "_Clock", most: int) -> tuple[bytes, bytearray]:
        kind, size = protocol.HEAD.unpack(self._receive(protocol.HEAD.size, clock))
        if size > most:
            self._ending = "result"
            self.kill()
            raise protocol.PeerClosed
        return kind, self._receive(size, clock)

    def _receive(self, size: int, clock: "_Clock") -> bytearray:
        """Exactly so many bytes."""
        received = bytearray(size)
        rest = memoryview(received)
        while rest:
            started = time.monotonic()
            try:
                count = protocol.receive_into(self._socket, rest)
            except TimeoutError:
                count = 0
            rest = rest[count:]
            clock.count(time.monotonic() - started, is_idle=not count)
        return received

    def _refused(self, refusal: JobRefusal, limits: JobLimits) -> Exception:
        if refusal.kind in {"memory", "open-files"}:
            self._ending = "memory" if refusal.kind == "memory" else "open-files"
            return self._exceeded(limits)
        if refusal.kind == "disk":
            error = OSError(refusal.details["errno"], "the disk is full")
            error.is_of_job = True  # type: ignore[attr-defined]
            return error
        if refusal.kind == "fault":
            log.error("sandbox.reader_failed", fault=refusal.message, **refusal.details)
            return ReaderFault(f"The reader of this document has a fault: {refusal.message}")
        kind = self._errors.get(refusal.kind, InvalidInput)
        refused: InvalidInput = kind.__new__(kind)
        InvalidInput.__init__(refused, refusal.message, **refusal.details)
        return refused

    def _exceeded(self, limits: JobLimits) -> SandboxLimitExceeded:
        cause: Cause = self._ending or "crash"
        log.warning("sandbox.document_refused", cause=cause, pid=self.pid)
        return limit_error(cause, self._limits, limits)

    def _reason(self, limits: JobLimits) -> Exception:
        """The error that the end of the child stands for."""
        self._socket.close()
        code = self._process.wait()
        if self._ending is not None:
            return self._exceeded(limits)
        log.warning("sandbox.process_ended", code=code)
        if code in _STOPPED_FROM_OUTSIDE:
            return Unavailable("The process that read this document was stopped.")
        if code < 0:
            self._ending = _CAUSES.get(code, "crash")
            return self._exceeded(limits)
        return RuntimeError(f"a process that reads documents ended with {code}")

    def kill(self) -> None:
        """End the child now."""
        self._process.kill()

    def close(self) -> None:
        """End the child and wait until it has."""
        if self.timer is not None:
            self.timer.cancel()
        self._socket.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


class _TooLate(Exception):
    """The child took as long as its limit allows.

    Attributes:
        cause: which limit.
    """

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause: Cause = cause


class _ProcessorTime:
    """The processor time that a child takes for one job, as its parent sees it.

    The child's own timer is exact, and ends a document that is slow; a document that has taken the
    child over can switch it off.

    Args:
        pid: the child.
        limit: seconds of processor time of the job.
    """

    def __init__(self, pid: int, limit: float) -> None:
        # The number of the clock of another process, see clock_getcpuclockid(3) and
        # include/linux/posix-timers.h.
        self._number = (~pid << 3) | 2
        self._end = self._now() + limit + _TIMER_SLACK_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether the child took more than its limit, and did not end by itself."""
        return self._now() > self._end

    def _now(self) -> float:
        if sys.platform != "linux":
            return 0.0
        try:
            return time.clock_gettime(self._number)
        except OSError:  # the child has ended, which its socket tells
            return 0.0


class _Clock:
    """Adds up the seconds that the parent waited for the child.

    Args:
        limit: of these seconds.
        on_wait: is called each time that nothing came.
        processor_time: of the job, which ends here if the child's own timer did not end it.
    """

    def __init__(
        self, limit: float, on_wait: OnWait | None, processor_time: _ProcessorTime | None = None
    ) -> None:
        self._rest = limit
        self._on_wait = on_wait
        self._processor_time = processor_time

    def count(self, seconds: float, *, is_idle: bool) -> None:
        """Count seconds of waiting.

        Raises:
            _TooLate: they are over the limit, or the processor time is.
        """
        self._rest -= seconds
        if self._rest < 0:
            raise _TooLate("wall-clock")
        if self._processor_time is not None and self._processor_time.is_over:
            raise _TooLate("processor-time")
        if is_idle and self._on_wait is not None:
            self._on_wait()
