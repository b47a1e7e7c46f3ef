"""Processes that read documents for the API: at most two at a time, each with limits of its own.

A process starts with the first document, stays for the next ones, and ends after a while without
any. `extraction_process` is its program.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final

import msgspec

from services.observables.reports.extraction import ExtractedValue
from services.observables.reports.extraction_client import ExtractionClient
from services.observables.reports.extraction_process import (
    ExtractionHeader,
    ProcessLimits,
    Rejection,
)
from shared.errors import InvalidInput, TooLargeInput, Unavailable

MAX_PROCESSES: Final = 2
"""Documents that are read at the same time."""

QUEUE_SECONDS: Final = 10.0
"""Seconds a document waits for its turn."""

IDLE_SECONDS: Final = 180.0
"""Seconds after which a process without work ends."""

_RETRY_AFTER: Final = 5.0

Annotate = Callable[[Sequence[ExtractedValue]], Sequence[msgspec.Struct]]
"""Adds to values what is stored about them."""


class _Job:
    """A document on its way: the process that reads it, and whether its sender has left."""

    def __init__(self) -> None:
        self.process: ExtractionClient | None = None
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        if (process := self.process) is not None:
            process.kill()


class ExtractionPool:
    """The processes that read documents for one API.

    Args:
        limits: of each of them.
    """

    def __init__(self, limits: ProcessLimits | None = None) -> None:
        self._limits = limits or ProcessLimits()
        # Threads of their own: lookups must not wait for documents. And threads have to live as
        # long as the processes, which end with the thread that started them.
        self._threads = ThreadPoolExecutor(MAX_PROCESSES, "extract")
        self._idle: list[ExtractionClient] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    async def extract(self, document: IO[bytes], media_type: str, annotate: Annotate) -> bytes:
        """The values in a document, as a JSON object in the shape of `ExtractionView`.

        Args:
            document: an open file, flushed.
            media_type: its `Content-Type`.
            annotate: is called for some thousand observables at a time.

        Raises:
            Unavailable: other documents were still being read after `QUEUE_SECONDS`.
            TooLargeInput: it takes too much memory or time.
            InvalidInput: it cannot be read.
        """
        job = _Job()
        work = self._threads.submit(self._run, job, document, media_type, annotate)
        answer = asyncio.wrap_future(work)
        try:
            done, _ = await asyncio.wait([answer], timeout=QUEUE_SECONDS)
            # Work that has begun cannot be cancelled; it is waited for.
            if not done and work.cancel():
                raise _busy()
            return await answer
        except asyncio.CancelledError:
            answer.cancel()
            job.cancel()
            raise

    def _run(self, job: _Job, document: IO[bytes], media_type: str, annotate: Annotate) -> bytes:
        process = job.process = self._acquire()
        if job.cancelled:
            process.close()
            raise _busy()
        try:
            answer, frames = process.extract(document, media_type)
            ready = process.is_ready()
        except BaseException:
            process.kill()
            process.close()
            raise
        finally:
            job.process = None
        if ready:
            self._release(process)
        else:
            process.close()
        if isinstance(answer, Rejection):
            raise (TooLargeInput if answer.large else InvalidInput)(
                answer.message, **answer.details
            )
        return _encode(answer, frames, annotate)

    def _acquire(self) -> ExtractionClient:
        """An idle process that still runs, or a new one."""
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return ExtractionClient(self._limits)
            if process.timer:
                process.timer.cancel()
            if process.alive:
                return process
            process.close()

    def _release(self, process: ExtractionClient) -> None:
        process.timer = threading.Timer(IDLE_SECONDS, _retire, (self._idle, self._lock, process))
        process.timer.daemon = True
        with self._lock:
            self._idle.append(process)
        process.timer.start()


def _busy() -> Unavailable:
    error = Unavailable(
        f"{MAX_PROCESSES} other documents are being read: send this one again in a few seconds."
    )
    error.retry_after = _RETRY_AFTER
    return error


def _retire(idle: list[ExtractionClient], lock: threading.Lock, process: ExtractionClient) -> None:
    with lock:
        if process not in idle:
            return
        idle.remove(process)
    process.close()


def _close_all(idle: list[ExtractionClient]) -> None:
    for process in idle:
        if process.timer:
            process.timer.cancel()
        process.close()


def _encode(header: ExtractionHeader, frames: list[bytes], annotate: Annotate) -> bytes:
    """The answer as JSON.

    Frames are decoded, annotated, encoded and dropped one after another: all observables of a
    large document at once would take several times the memory.
    """
    pieces: list[bytes] = []
    frames.reverse()
    while frames:
        values = msgspec.msgpack.decode(frames.pop(), type=list[ExtractedValue])
        pieces.append(msgspec.json.encode(annotate(values))[1:-1])
    rest = {
        "attack": header.attack,
        "characters": header.characters,
        "pages": header.pages,
        "notes": header.notes,
    }
    return b"".join((b'{"observables":[', b",".join(pieces), b"],", msgspec.json.encode(rest)[1:]))
