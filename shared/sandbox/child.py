"""The child that runs jobs, started by `SandboxProcess`.

Its command is `python -P -m shared.sandbox.child OPTIONS`. On stdin, a Unix socket, it takes one
job at a time and answers in frames; `protocol` has the messages. It ends when it has grown, when
the other end of the socket is closed, when its parent ends, and by a signal when a job takes too
much processor time.
"""

import errno
import gc
import importlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import msgspec

from shared.errors import InvalidInput
from shared.memory import release_memory, resident_memory
from shared.sandbox import protocol
from shared.sandbox.confinement import confine
from shared.sandbox.limits import SandboxLimits
from shared.sandbox.protocol import JobOrder, JobRefusal

Job = Callable[[bytes, list[int]], Iterator[bytes]]
"""Takes a request and descriptors, which stay the child's; yields the frames of the result."""

_SYSTEM_FILES: Final = (
    *("/usr", "/lib", "/lib64", "/opt", "/dev/urandom", "/dev/null"),
    # What the loader of libraries, times and kinds of files need; no accounts, keys or hosts.
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types"),
    # Of the child itself, for its memory and threads; neither its network nor its mounts.
    *(f"/proc/self/{name}" for name in ("statm", "stat", "status", "maps", "fd", "task")),
)
_MAX_TRACE: Final = 4_000


class ChildOptions(msgspec.Struct, frozen=True):
    """The options of a child.

    Attributes:
        limits: its limits.
        warm: modules that it imports before its first job.
    """

    limits: SandboxLimits
    warm: tuple[str, ...] = ()


def main(options: ChildOptions) -> None:
    """Run jobs until the socket is closed or the memory has grown too much."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    for module in options.warm:
        importlib.import_module(module)
    holds = confine(options.limits, readable_folders())
    gc.freeze()
    gc.disable()  # nothing here makes cycles, and large answers are many small objects
    with socket.socket(fileno=0) as control:
        protocol.send(control, protocol.READY, msgspec.msgpack.encode(holds))
        with suppress(protocol.PeerClosed, ConnectionError):
            while _serve(control, options.limits):
                pass


def readable_folders() -> list[Path]:
    """The folders and files that Python and our packages need."""
    # An editable installation is on no path: a finder knows its packages.
    tree = Path(__file__).parents[2]
    packages = [str(tree / name) for name in ("services", "shared")]
    folders = [*sys.path, *packages, sys.prefix, sys.base_prefix, sys.exec_prefix, *_SYSTEM_FILES]
    return [Path(folder) for folder in dict.fromkeys(folders) if folder]


def _serve(control: socket.socket, limits: SandboxLimits) -> bool:
    """Run the next job; whether the process stays for another one."""
    order, descriptors = _receive(control)
    signal.setitimer(signal.ITIMER_PROF, order.seconds)
    refusal = None
    try:
        for frame in _job(order.job)(order.request, descriptors):
            protocol.send(control, protocol.FRAME, frame)
    except (protocol.PeerClosed, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent is told
        refusal = _refusal(error)
    finally:
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)
    signal.setitimer(signal.ITIMER_PROF, 0)
    gc.collect()
    if refusal is not None:
        protocol.send(control, protocol.REFUSAL, refusal)
    if resident_memory() > limits.retire_at:
        release_memory()
    stays = resident_memory() <= limits.retire_at
    protocol.send(control, protocol.END if stays else protocol.RETIRED)
    return stays


def _receive(control: socket.socket) -> tuple[JobOrder, list[int]]:
    size = protocol.HEAD.size
    head, descriptors, _flags, _address = socket.recv_fds(control, size, protocol.MAX_FILES)
    if not head:
        raise protocol.PeerClosed
    while len(head) < size:
        head += control.recv(size - len(head))
    _, length = protocol.HEAD.unpack(head)
    body = memoryview(bytearray(length))
    rest = body
    while rest:
        rest = rest[protocol.receive_into(control, rest) :]
    return msgspec.msgpack.decode(body, type=JobOrder), descriptors


def _job(name: str) -> Job:
    module, _, function = name.partition(":")
    return cast("Job", getattr(importlib.import_module(module), function))


def _refusal(error: Exception) -> bytes:
    """The error as the parent is told it."""
    if isinstance(error, MemoryError):
        refusal = JobRefusal("memory", "", {})
    elif isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        refusal = JobRefusal("open-files", "", {})
    elif isinstance(error, OSError) and error.errno == errno.ENOMEM:
        refusal = JobRefusal("memory", "", {})
    elif isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        refusal = JobRefusal("disk", "", {"errno": error.errno})
    elif isinstance(error, InvalidInput):
        refusal = JobRefusal(type(error).__name__, error.message, error.details)
    else:
        trace = "".join(traceback.format_exception(error))
        summary = f"{type(error).__name__}: {error}"
        refusal = JobRefusal("fault", summary[:200], {"trace": trace[-_MAX_TRACE:]})
    # What the error names may be held by its frames.
    error.__traceback__ = None
    return msgspec.msgpack.encode(refusal, enc_hook=str)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=ChildOptions))
