"""The process that reads documents, started by `extraction_pool`.

Its command is `python -m services.observables.reports.extraction_process LIMITS`.

A document may come from anyone; here it can exhaust neither the API's memory nor its time. On
stdin, a Unix socket, the process takes one document at a time: a line with its `Content-Type`, and
attached the descriptor of the file that holds it.

It answers in frames: four bytes for the length, big endian, and MessagePack. First comes
`Rejection`, or `ExtractionHeader` and as many lists of `ExtractedValue` as that says. A byte behind
them says that the process is ready for another document; it ends instead when it has grown. It
also ends when the other end of the socket is closed, when its parent ends, and by a signal when a
document takes too much processor time.
"""

import ctypes
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from services.observables.reports.extraction import ExtractedValue, Extraction, extract_from
from shared import documents
from shared.errors import InvalidInput, TooLargeInput

READY: Final = b"."
HEAD: Final = 4
"""Bytes before each frame: its length."""

_VALUES_PER_FRAME: Final = 5_000
_PR_SET_PDEATHSIG: Final = 1


class ProcessLimits(msgspec.Struct, frozen=True):
    """The limits of one process.

    Attributes:
        memory: bytes of data it may have.
        seconds: of processor time for one document.
        retire_at: bytes of memory from which on it ends after a document.
    """

    memory: int = 256 * 1024 * 1024
    seconds: float = 20
    retire_at: int = 80 * 1024 * 1024

    def too_much_memory(self) -> str:
        """The message for a document that does not fit into memory."""
        mebibytes = self.memory >> 20
        return f"Reading this document takes more than {mebibytes} MiB of memory: send it in parts."

    def too_slow(self) -> str:
        """The message for a document that takes too long."""
        return f"Reading this document takes longer than {self.seconds:g} s: send it in parts."


class ExtractionHeader(msgspec.Struct, tag=True):
    """An extraction without its observables, which follow in further frames.

    Attributes:
        frames: how many lists of observables follow.
        attack: ATT&CK ids.
        characters: see `Extraction`.
        pages: see `Extraction`.
        notes: see `Extraction`.
    """

    frames: int
    attack: list[ExtractedValue]
    characters: int
    pages: int | None
    notes: list[str]


class Rejection(msgspec.Struct, tag=True):
    """The reason why a document cannot be read.

    Attributes:
        large: whether it is too large; otherwise it is broken, or of another kind.
        message: for the sender.
        details: of the error, such as its `field` and `where`.
    """

    large: bool
    message: str
    details: dict[str, Any]


def main(limits: ProcessLimits) -> None:
    """Read documents until the socket is closed, or the memory has grown too much."""
    _limit(limits.memory)
    gc.disable()  # nothing here makes cycles, and large answers are many small objects
    with socket.socket(fileno=0) as control:
        while received := _receive(control):
            signal.setitimer(signal.ITIMER_PROF, limits.seconds)
            for frame in _frames(*received, limits):
                control.sendall(len(frame).to_bytes(HEAD, "big") + frame)
            signal.setitimer(signal.ITIMER_PROF, 0)
            gc.collect()
            if _resident() > limits.retire_at:
                return
            control.sendall(READY)


def _limit(memory: int) -> None:
    """Bound this process; where memory or processors are scarce, the API comes first."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")


def _receive(control: socket.socket) -> tuple[str, int] | None:
    line, descriptors, _flags, _address = socket.recv_fds(control, 1 << 16, 1)
    return (line.decode().removesuffix("\n"), descriptors[0]) if line else None


def _frames(media_type: str, descriptor: int, limits: ProcessLimits) -> Iterator[bytes]:
    try:
        extraction = _extract(media_type, descriptor)
    except MemoryError:
        yield msgspec.msgpack.encode(Rejection(True, limits.too_much_memory(), {}))
        return
    except InvalidInput as error:
        yield msgspec.msgpack.encode(
            Rejection(isinstance(error, TooLargeInput), error.message, error.details)
        )
        return
    starts = range(0, len(extraction.observables), _VALUES_PER_FRAME)
    header = ExtractionHeader(
        len(starts), extraction.attack, extraction.characters, extraction.pages, extraction.notes
    )
    yield msgspec.msgpack.encode(header)
    for start in starts:
        yield msgspec.msgpack.encode(extraction.observables[start : start + _VALUES_PER_FRAME])


def _extract(media_type: str, descriptor: int) -> Extraction:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        # The content has no name here, so its memory is freed before the text is searched.
        document = documents.read(file.read(), media_type)
    return extract_from(document)


def _resident() -> int:
    """Bytes of memory this process has; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=ProcessLimits))
