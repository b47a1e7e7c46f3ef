"""The children that read documents for the API, from code that awaits."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final

import msgspec

from services.observables import NAME
from services.observables.reports.extraction import ExtractedValue
from services.observables.reports.extraction_job import ExtractionHeader, extraction_job
from shared.errors import TooLargeInput
from shared.sandbox import pool
from shared.sandbox.limits import JobLimits, SandboxLimitExceeded, SandboxLimits
from shared.sandbox.pool import Cancellation, SandboxPool

_MAX_MEDIA_TYPE: Final = 1_000
_MAX_WAITING: Final = 32
"""Documents that are read or wait for it; the gate of requests lets a tenant have half of them."""
_TOO_LARGE: Final = frozenset({"processor-time", "wall-clock", "memory", "result"})

Annotate = Callable[[Sequence[ExtractedValue]], Sequence[msgspec.Struct]]
"""Adds to values what is stored about them."""


class ExtractionPool:
    """The processes that read documents for one API.

    Args:
        limits: of each of them.
        job_limits: of each document.
    """

    def __init__(
        self, limits: SandboxLimits | None = None, job_limits: JobLimits | None = None
    ) -> None:
        self._job_limits = job_limits or JobLimits()
        warm = [extraction_job.__module__]
        self._sandbox = SandboxPool(NAME, limits, warm=warm, errors=[TooLargeInput])
        # Threads of their own: lookups must not wait for documents.
        self._threads = ThreadPoolExecutor(_MAX_WAITING, "extract")

    async def extract(
        self, tenant: str, document: IO[bytes], media_type: str, annotate: Annotate
    ) -> bytes:
        """The values in a document, as a JSON object in the shape of `ExtractionView`.

        Args:
            tenant: whose turn it takes.
            document: an open file, flushed.
            media_type: its `Content-Type`.
            annotate: is called for some thousand observables at a time.

        Raises:
            Unavailable: other documents were still being read after `QUEUE_SECONDS`.
            TooLargeInput: it takes too much memory or time.
            InvalidInput: it cannot be read.
        """
        cancellation = Cancellation()
        work = self._threads.submit(self._run, cancellation, tenant, document, media_type, annotate)
        answer = asyncio.wrap_future(work)
        try:
            done, _ = await asyncio.wait([answer], timeout=pool.QUEUE_SECONDS)
            # Work that has begun cannot be cancelled; it is waited for.
            if not done and work.cancel():
                raise pool.busy()
            return await answer
        except asyncio.CancelledError:
            answer.cancel()
            cancellation.cancel()
            raise

    def _run(
        self,
        cancellation: Cancellation,
        tenant: str,
        document: IO[bytes],
        media_type: str,
        annotate: Annotate,
    ) -> bytes:
        kind = media_type[:_MAX_MEDIA_TYPE].encode("utf-8", "replace")
        try:
            frames = self._sandbox.run(
                extraction_job,
                kind,
                [document.fileno()],
                self._job_limits,
                cancellation=cancellation,
                tenant=tenant,
            )
            header = msgspec.msgpack.decode(next(frames), type=ExtractionHeader)
            return _encode(header, frames, annotate)
        except SandboxLimitExceeded as error:
            if error.cause in _TOO_LARGE:
                raise TooLargeInput(error.message, **error.details) from None
            raise


def _encode(header: ExtractionHeader, frames: Iterator[bytearray], annotate: Annotate) -> bytes:
    """The answer as JSON.

    Frames are decoded, annotated, encoded and dropped one after another: all observables of a
    large document at once would take several times the memory.
    """
    pieces: list[bytes] = []
    for frame in frames:
        values = msgspec.msgpack.decode(frame, type=list[ExtractedValue])
        pieces.append(msgspec.json.encode(annotate(values))[1:-1])
    rest = {
        "attack": header.attack,
        "characters": header.characters,
        "pages": header.pages,
        "notes": header.notes,
    }
    return b"".join((b'{"observables":[', b",".join(pieces), b"],", msgspec.json.encode(rest)[1:]))
