"""The children of one process: a few at a time, started when they are needed, kept for a while."""

import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from shared.errors import InvalidInput, Unavailable
from shared.sandbox.child import ChildOptions, Job
from shared.sandbox.limits import JobLimits, ReaderFault, SandboxLimitExceeded, SandboxLimits
from shared.sandbox.process import OnWait, SandboxProcess
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import SANDBOX_JOBS, SANDBOX_PROCESSES
from shared.turns import TurnGate

log = get_logger(__name__)

MAX_PROCESSES: Final = 2
"""Documents that a process has read at the same time."""

QUEUE_SECONDS: Final = 10.0
"""Seconds that a document waits for its turn."""

IDLE_SECONDS: Final = 300.0
"""Seconds after which a child without work ends."""

_RETRY_AFTER: Final = 5.0


class Cancellation:
    """Lets another thread give a job up."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self._process: SandboxProcess | None = None

    def cancel(self) -> None:
        """Give the job up: its child ends now."""
        self.is_cancelled = True
        if (process := self._process) is not None:
            process.kill()

    def attach(self, process: SandboxProcess | None) -> None:
        """Name the child that runs the job, or None when it has ended.

        Raises:
            Unavailable: the job was given up before it began.
        """
        self._process = process
        if process is not None and self.is_cancelled:
            raise busy()


class SandboxPool:
    """Children that run jobs, each with the same limits.

    Args:
        service: whose they are, for metrics.
        limits: of each child.
        warm: modules that a child imports before its first job.
        errors: classes of errors that jobs may end with, beside `InvalidInput`.
        size: most children at a time.
    """

    def __init__(
        self,
        service: str,
        limits: SandboxLimits | None = None,
        *,
        warm: Sequence[str] = (),
        errors: Sequence[type[InvalidInput]] = (),
        size: int = MAX_PROCESSES,
    ) -> None:
        self._service = service
        self._options = ChildOptions(limits or SandboxLimits(), tuple(warm))
        self._errors = tuple(errors)
        self._idle: list[SandboxProcess] = []
        self._lock = threading.Lock()
        self._turns = TurnGate(size)
        # A child ends with the thread that started it, so that it must live as long as the pool.
        self._starter = ThreadPoolExecutor(1, "sandbox")
        weakref.finalize(self, _close_all, self._idle, self._starter)

    def run(
        self,
        job: Job,
        request: bytes,
        files: Sequence[int] = (),
        limits: JobLimits | None = None,
        *,
        on_wait: OnWait | None = None,
        cancellation: Cancellation | None = None,
        tenant: str = "",
    ) -> Iterator[bytearray]:
        """Run a job; its frames as they come.

        Args:
            job: a function of a module.
            request: for it.
            files: descriptors that the child gets as its own.
            limits: of this job.
            on_wait: called while the child computes; may raise to give the job up.
            cancellation: lets another thread give it up.
            tenant: whose document it is: tenants take turns.

        Raises:
            Unavailable: other documents are still being read after `QUEUE_SECONDS`.
            InvalidInput: see `SandboxProcess.run`.
        """
        name = f"{job.__module__}:{job.__qualname__}"
        ticket = cancellation or Cancellation()
        with self._turn(tenant), self._process() as process:
            ticket.attach(process)
            try:
                with self._counted():
                    yield from process.run(name, request, files, limits or JobLimits(), on_wait)
            finally:
                ticket.attach(None)

    def call(
        self,
        job: Job,
        request: bytes,
        files: Sequence[int],
        limits: JobLimits,
        tenant: str = "",
    ) -> bytearray:
        """Run a job whose result is one frame; the frame."""
        (frame,) = self.run(job, request, files, limits, tenant=tenant)
        return frame

    def start(self) -> None:
        """Start a child for the first job, and do not wait for it."""
        self._starter.submit(self._start_idle)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        outcome = "read"
        try:
            yield
        except SandboxLimitExceeded as error:
            outcome = error.cause
            raise
        except ReaderFault:
            outcome = "fault"
            raise
        except InvalidInput:
            outcome = "refused"
            raise
        except BaseException:
            outcome = "given-up"
            raise
        finally:
            SANDBOX_JOBS.labels(self._service, outcome).inc()

    @contextmanager
    def _turn(self, tenant: str) -> Iterator[None]:
        if not self._turns.acquire(tenant, QUEUE_SECONDS):
            raise busy()
        try:
            yield
        finally:
            self._turns.release(tenant)

    @contextmanager
    def _process(self) -> Iterator[SandboxProcess]:
        """An idle child that still runs, or a new one; it goes back if it takes another job."""
        process = self._take_idle() or self._starter.submit(self._start).result()
        try:
            yield process
        finally:
            if process.is_free and process.is_alive:
                self._release(process)
            else:
                process.close()

    def _take_idle(self) -> SandboxProcess | None:
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return None
            if process.timer is not None:
                process.timer.cancel()
            if process.is_alive:
                return process
            process.close()

    def _start(self) -> SandboxProcess:
        SANDBOX_PROCESSES.labels(self._service).inc()
        return SandboxProcess(self._options, self._errors)

    def _start_idle(self) -> None:
        with self._lock:
            is_needed = not self._idle
        if is_needed:
            self._release(self._start())

    def _release(self, process: SandboxProcess) -> None:
        arguments = (self._idle, self._lock, process)
        process.timer = threading.Timer(IDLE_SECONDS, _retire, arguments)
        process.timer.daemon = True
        with self._lock:
            self._idle.append(process)
        process.timer.start()


def busy() -> Unavailable:
    """The error for a document that did not get its turn."""
    error = Unavailable("Other documents are being read: send this one again in a few seconds.")
    error.retry_after = _RETRY_AFTER
    return error


def _retire(idle: list[SandboxProcess], lock: threading.Lock, process: SandboxProcess) -> None:
    with lock:
        if process not in idle:
            return
        idle.remove(process)
    process.close()


def _close_all(idle: list[SandboxProcess], starter: ThreadPoolExecutor) -> None:
    for process in idle:
        process.close()
    starter.shutdown(wait=False)
