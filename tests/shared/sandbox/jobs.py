"""Jobs for the tests of the sandbox, as a child imports them."""

import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from shared.errors import InvalidInput

PIECE = 1 << 16


def echo(request: bytes, files: list[int]) -> Iterator[bytes]:
    """Answer with the request, then with the files' content."""
    yield request
    for descriptor in files:
        yield os.pread(descriptor, PIECE, 0)


def frames(request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Answer with so many frames of 64 KiB."""
    for _ in range(int(request)):
        yield bytes(PIECE)


def spin(_request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Compute in C without end, as an exponential expression does."""
    yield b"begun"
    sum(range(1 << 62))


def sleep(_request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Take no processor time, and never end."""
    yield b"begun"
    time.sleep(3600)


def grow(_request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Take more and more memory."""
    pieces = []
    while True:
        pieces.append(bytearray(1 << 20))
        yield b""


def hold(request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Keep so many bytes for good."""
    _kept.append(bytearray(b"x") * int(request))
    yield b""


_kept: list[bytearray] = []


def open_files(_request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Open more and more files."""
    files = []
    while True:
        files.append(open("/proc/self/stat"))  # noqa: SIM115, PTH123
        yield b""


def crash(request: bytes, _files: list[int]) -> Iterator[bytes]:
    """End as a library does that broke: by a signal."""
    yield b"begun"
    if request == b"abort":
        os.abort()
    ctypes.string_at(8)


def refuse(request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Refuse the document."""
    if request == b"ambiguous":
        raise AmbiguousDocument("two ways", "line 1", [{"format": "csv", "options": {"a": 1}}])
    if request == b"malformed":
        raise MalformedDocument("no list", "line 3", hint="x")
    if request == b"disk":
        raise OSError(errno.ENOSPC, "no space")
    if request == b"fault":
        raise KeyError("colour")
    yield b""
    raise InvalidInput("an option is wrong", field="options.x")


def attempts(request: bytes, files: list[int]) -> Iterator[bytes]:
    """Try to leave the sandbox; names of what succeeded."""
    parent, secret_file = msgspec.msgpack.decode(request, type=tuple[int, str])
    yield msgspec.msgpack.encode(
        {
            "environment": sorted(os.environ),
            "succeeded": [
                name for name, attempt in _attempts(parent, secret_file) if _succeeds(attempt)
            ],
            "threads": _succeeds(_run_thread),
            "open": len(list(Path("/proc/self/fd").iterdir())) - 1,  # the listing's own
        }
    )


def _attempts(parent: int, secret_file: str) -> list:
    return [
        ("connect", lambda: socket.create_connection(("127.0.0.1", 9), 1)),
        ("socket", socket.socket),
        ("unix socket", lambda: socket.socket(socket.AF_UNIX)),
        ("socket pair", socket.socketpair),
        ("fork", _fork),
        ("program", lambda: subprocess.run([sys.executable, "-c", ""], check=True)),
        ("exec", lambda: os.execv("/bin/true", ["true"])),  # noqa: S606
        ("signal", lambda: os.kill(parent, 0)),
        ("environment", lambda: Path(f"/proc/{parent}/environ").read_bytes()),
        ("memory", lambda: open(f"/proc/{parent}/mem", "rb")),  # noqa: PTH123
        ("secret", lambda: Path(secret_file).read_bytes()),
        ("listing", lambda: list(Path(secret_file).parent.iterdir())),
        ("write", lambda: Path(secret_file).with_name("new").write_text("x")),
        ("tmp", lambda: Path("/tmp/sandbox-was-here").write_text("x")),  # noqa: S108
        ("remove", lambda: Path(secret_file).unlink()),
        ("descriptor", lambda: os.pidfd_open(parent)),
        ("memory limit", _raise_limit),
        *_changes_of_files(secret_file),
        *_changes_of_processes(parent),
        *_changes_of_the_machine(),
        ("accounts", lambda: Path("/etc/passwd").read_bytes()),
        ("hosts", lambda: Path("/etc/hosts").read_bytes()),
        ("connections", lambda: Path("/proc/net/tcp").read_bytes()),
        ("mounts", lambda: Path("/proc/self/mountinfo").read_bytes()),
    ]


def _changes_of_files(file: str) -> list:
    return [
        ("mode", lambda: os.chmod(file, 0o777)),  # noqa: PTH101, S103
        ("mode of a descriptor", lambda: os.chmod(0, 0o777)),  # noqa: S103
        ("owner", lambda: os.chown(file, -1, -1)),
        ("times", lambda: os.utime(file, (1, 1))),
        ("attribute", lambda: os.setxattr(file, "user.x", b"1")),
        ("lock", lambda: fcntl.flock(0, fcntl.LOCK_EX | fcntl.LOCK_NB)),
    ]


def _changes_of_processes(parent: int) -> list:
    return [
        ("priority", lambda: os.setpriority(os.PRIO_PROCESS, parent, 19)),
        ("policy", lambda: os.sched_setscheduler(parent, os.SCHED_IDLE, os.sched_param(0))),
        ("processors", lambda: os.sched_setaffinity(parent, os.sched_getaffinity(0))),
        # The class "none", which is what processes have.
        ("disk priority", lambda: _call(251, 1, parent, 0)),
        ("signal of a socket", lambda: fcntl.fcntl(0, 8, parent)),  # F_SETOWN
        ("queued signal", lambda: _call(297, parent, parent, 0, bytes(128))),
        ("signal of a thread", lambda: _call(234, parent, parent, 0)),
        ("signal of its parent's end", lambda: _call(157, 1, 0, 0, 0, 0)),
        ("timer", lambda: signal.setitimer(signal.ITIMER_REAL, 0)),
    ]


def _changes_of_the_machine() -> list:
    """Calls that are refused before the kernel looks at their arguments, which are no good ones."""
    return [
        ("host name", lambda: _call(170, 0, -1)),
        ("domain name", lambda: _call(171, 0, -1)),
        ("shared memory", lambda: _call(29, 0, 0, 0)),
        ("message queue", lambda: _call(68, -1, 0)),
        ("semaphores", lambda: _call(64, 0, -1, 0)),
        ("memory file", lambda: os.close(os.memfd_create("x"))),
        ("posix timer", lambda: _call(222, 99, 0, 0)),
    ]


def refused_numbers(_request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Numbers of calls that are not refused by the filter, of those that must be."""
    refused = (170, 171, 29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 90, 91, 92, 93, 94, 132, 141)
    for number in (*refused, 142, 144, 157, 188, 189, 190, 203, 222, 235, 251, 260, 261, 268, 280):
        try:
            _call(number, -1, -1, -1, -1, -1)
        except PermissionError:
            continue
        except OSError as error:
            yield f"{number} {error.errno}".encode()
        else:
            yield f"{number} succeeded".encode()


def outrun(_request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Switch the timer of the job off, and compute without end."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    yield b"begun"
    sum(range(1 << 62))


def _call(number: int, *arguments: object) -> None:
    """Make a system call of x86_64."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _succeeds(attempt) -> bool:
    try:
        attempt()
    except (OSError, ValueError, RuntimeError, subprocess.SubprocessError):
        return False
    return True


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _run_thread() -> None:
    thread = threading.Thread(target=time.time)
    thread.start()
    thread.join()


def _raise_limit() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))
