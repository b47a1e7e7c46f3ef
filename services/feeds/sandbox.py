"""The children that read documents for a process of the feeds service, and their limits."""

import os
from functools import cache
from typing import Final

from services.feeds import NAME
from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from shared.errors import TooLargeInput
from shared.http.limits import GIB
from shared.sandbox.limits import MIB, JobLimits, SandboxLimits
from shared.sandbox.pool import SandboxPool
from shared.settings import Settings, load_settings

_WARM: Final = (
    "services.feeds.snapshots.parse_job",
    "services.feeds.payloads.unpack_job",
    "services.feeds.formats.csv",
    "services.feeds.formats.stix",
    "services.feeds.formats.text",
)
_RETIRE_AT: Final = 192 * MIB
_CLOCK_FACTOR: Final = 5.0
"""Seconds by the clock for a second of processor time, when other processes compete."""
_NICE: Final = 5
_UNPACK_SECONDS: Final = 60.0
_UNPACKED: Final = 2 * GIB + MIB


def document_sandbox(settings: Settings | None = None) -> SandboxPool:
    """The children that read documents of runs; a process that was forked has its own."""
    return _sandbox_of(os.getpid(), (settings or load_settings()).document_memory_mib, 0)


def preview_sandbox(settings: Settings) -> SandboxPool:
    """The children that read documents for a person; the API that starts them comes first."""
    return _sandbox_of(os.getpid(), settings.document_memory_mib, _NICE)


@cache
def _sandbox_of(_pid: int, memory: int, nice: int) -> SandboxPool:
    return SandboxPool(
        NAME,
        SandboxLimits(memory=memory * MIB, retire_at=_RETIRE_AT, nice=nice),
        warm=_WARM,
        errors=(MalformedDocument, AmbiguousDocument, TooLargeInput),
    )


def run_limits(settings: Settings) -> JobLimits:
    """The limits of reading a document for a run."""
    return _limits(settings, settings.document_seconds)


def preview_limits(settings: Settings) -> JobLimits:
    """The limits of reading a document while a person waits."""
    return _limits(settings, settings.preview_seconds)


def unpack_limits() -> JobLimits:
    """The limits of unpacking a payload."""
    return JobLimits(_UNPACK_SECONDS, _CLOCK_FACTOR * _UNPACK_SECONDS, _UNPACKED)


def _limits(settings: Settings, seconds: float) -> JobLimits:
    return JobLimits(seconds, _CLOCK_FACTOR * seconds, settings.document_memory_mib * MIB)
