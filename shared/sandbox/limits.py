"""The limits of a child, those of a job, and the errors of a document that exceeds them."""

from typing import ClassVar, Final, Literal

import msgspec

from shared.errors import InvalidInput

MIB: Final = 1 << 20

Cause = Literal["processor-time", "wall-clock", "memory", "open-files", "result", "crash"]
"""Why a document was refused: the limit that it exceeded, or that its reader broke down over it."""


class SandboxLimits(msgspec.Struct, frozen=True):
    """The limits of a child, whatever it reads.

    Attributes:
        memory: bytes of data that it may have.
        files: files that it may have open.
        retire_at: bytes of resident memory from which on it ends after a job.
        nice: what its priority is lowered by, see nice(2): where people wait for the parent, it
            comes first.
    """

    memory: int = 256 * MIB
    files: int = 64
    retire_at: int = 80 * MIB
    nice: int = 5


class JobLimits(msgspec.Struct, frozen=True):
    """The limits of one job.

    Attributes:
        seconds: of processor time.
        wall_seconds: that the parent waits for it in all; time in which the parent itself is busy
            does not count.
        result: bytes of all its frames.
    """

    seconds: float = 20
    wall_seconds: float = 60
    result: int = 256 * MIB


class SandboxLimitExceeded(InvalidInput):
    """A document exceeds a limit, which `limit` names; another attempt would exceed it, too."""

    code: ClassVar[str] = "document-limit"

    def __init__(self, message: str, cause: Cause) -> None:
        super().__init__(message, limit=cause)
        self.cause: Cause = cause


class ReaderFault(InvalidInput):
    """The reader of a document has a fault, which the document brought to light."""

    code: ClassVar[str] = "reader-fault"


def limit_error(cause: Cause, sandbox: SandboxLimits, job: JobLimits) -> SandboxLimitExceeded:
    """The error for a limit, with its figure."""
    messages: dict[Cause, str] = {
        "processor-time": f"Reading this document takes longer than {job.seconds:g} s "
        "of processor time: send it in parts.",
        "wall-clock": f"Reading this document takes longer than {job.wall_seconds:g} s: "
        "send it in parts.",
        "memory": f"Reading this document takes more than {sandbox.memory >> 20} MiB of memory: "
        "send it in parts.",
        "open-files": f"Reading this document opens more than {sandbox.files} files.",
        "result": f"This document holds more than {job.result >> 20} MiB of observables: "
        "send it in parts.",
        "crash": "This document cannot be read: it is broken, or unfolds to more than fits "
        "into memory.",
    }
    return SandboxLimitExceeded(messages[cause], cause)
