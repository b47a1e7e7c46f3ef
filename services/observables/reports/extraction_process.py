"""The process that reads documents, started by `extraction_pool`.

Its command is `python -m services.observables.reports.extraction_process LIMITS`.

What is read may come from anybody: here it can take neither the API's memory nor its time. On stdin, a Unix socket, it
takes one document at a time: a line with its `Content-Type`, and attached the descriptor of the file that holds it.

It answers in frames: four bytes for the length, big endian, and MessagePack. First `Refused`, or `Named` and as many
lists of `Mentioned` as that says. A byte behind them says that it is ready for another document; it ends instead when
it has grown. It also ends when the other end of the socket is closed, when whoever started it ends, and by a signal
when a document takes too much processor time.
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

from services.observables.reports.extraction import Extraction, Mentioned, extract_from
from shared import documents
from shared.errors import InvalidInput, TooLargeInput

READY: Final = b"."
HEAD: Final = 4
"""Bytes before each frame: its length."""

_TOGETHER: Final = 5_000
_PR_SET_PDEATHSIG: Final = 1


class Limits(msgspec.Struct, frozen=True):
    """What such a process may take.

    Attributes:
        memory: bytes of data it may have.
        seconds: of processor time for one document.
        grown: bytes of memory with which it ends after a document, instead of waiting for another one.
    """

    memory: int = 256 * 1024 * 1024
    seconds: float = 20
    grown: int = 80 * 1024 * 1024

    def too_much_memory(self) -> str:
        """What to tell whoever sent a document that does not fit."""
        return f"Reading this document takes more than {self.memory >> 20} MiB of memory: send it in parts."

    def too_slow(self) -> str:
        """What to tell whoever sent a document that takes too long."""
        return f"Reading this document takes longer than {self.seconds:g} s: send it in parts."


class Named(msgspec.Struct, tag=True):
    """What a document names.

    Attributes:
        frames: how many lists of observables follow.
        attack: ATT&CK ids.
        characters: see `Extraction`.
        pages: see `Extraction`.
        notes: see `Extraction`.
    """

    frames: int
    attack: list[Mentioned]
    characters: int
    pages: int | None
    notes: list[str]


class Refused(msgspec.Struct, tag=True):
    """Why a document cannot be read.

    Attributes:
        large: whether it is too large, rather than no such document.
        message: for the person who sent it.
        details: of the error, such as its `field` and `where`.
    """

    large: bool
    message: str
    details: dict[str, Any]


def main(limits: Limits) -> None:
    """Read documents until nobody wants any more."""
    _limit(limits.memory)
    gc.disable()  # nothing here makes cycles, and large answers are many small objects
    with socket.socket(fileno=0) as control:
        while received := _receive(control):
            signal.setitimer(signal.ITIMER_PROF, limits.seconds)
            for frame in _frames(*received, limits):
                control.sendall(len(frame).to_bytes(HEAD, "big") + frame)
            signal.setitimer(signal.ITIMER_PROF, 0)
            gc.collect()
            if _resident() > limits.grown:
                return
            control.sendall(READY)


def _limit(memory: int) -> None:
    """Bound this process; where memory or processors are short, the API comes first."""
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


def _frames(media_type: str, descriptor: int, limits: Limits) -> Iterator[bytes]:
    try:
        found = _read(media_type, descriptor)
    except MemoryError:
        yield msgspec.msgpack.encode(Refused(True, limits.too_much_memory(), {}))
        return
    except InvalidInput as error:
        yield msgspec.msgpack.encode(
            Refused(isinstance(error, TooLargeInput), error.message, error.details)
        )
        return
    starts = range(0, len(found.observables), _TOGETHER)
    yield msgspec.msgpack.encode(
        Named(len(starts), found.attack, found.characters, found.pages, found.notes)
    )
    for start in starts:
        yield msgspec.msgpack.encode(found.observables[start : start + _TOGETHER])


def _read(media_type: str, descriptor: int) -> Extraction:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        # Not named here: the content may be gone when the text is searched.
        document = documents.read(file.read(), media_type)
    return extract_from(document)


def _resident() -> int:
    """Bytes of memory this process has; 0 where nobody says."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Limits))
