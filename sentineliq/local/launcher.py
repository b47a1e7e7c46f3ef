"""What the supervisor needs to know about a part of the infrastructure, and what its launchers share."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
# Loaded before any fork: a child between fork and exec must not import.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Launcher(Protocol):
    """One server process: how it is made ready, started, asked and stopped."""

    @property
    def name(self) -> str:
        """The part's name in logs and messages."""

    @property
    def url(self) -> str:
        """The address that clients get, secrets included."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables the process gets on top of ours."""

    @property
    def user(self) -> str | None:
        """The system user the process must run as; None for our own."""

    @property
    def stop_signal(self) -> signal.Signals:
        """What asks the process to stop in order and soon."""

    def prepare(self) -> None:
        """Make data folder and settings; what is there is kept. Blocks, and may be repeated.

        Raises:
            StackError: something is missing; the message says what to do.
        """

    def command(self) -> list[str]:
        """The command line of the process, which stays in the foreground."""

    def ready(self) -> bool:
        """Whether the server answers its own protocol; returns within about a second."""


def answer(port: int, question: bytes, size: int) -> bytes:
    """Ask a server on this machine one thing over TCP.

    Args:
        port: where it should listen.
        question: the bytes to send.
        size: how many bytes of the answer are wanted.

    Returns:
        The first `size` bytes; fewer, or none, when nobody listens or the answer takes over a second.
    """
    received = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((LOOPBACK, port), timeout=1) as connection,
    ):
        connection.sendall(question)
        while len(received) < size and (more := connection.recv(size - len(received))):
            received += more
        # Leave without a reset, which the server would log.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 12):
            pass
    return received


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody but its owner can ever read it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def identity(user: str | None) -> dict[str, Any]:
    """Arguments for subprocess that run a program as a system user; none for our own."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def dying_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What a child calls after the fork so that it gets a signal when its parent ends (Linux; elsewhere nothing).

    It must be called after a change of user, which clears the request, and the parent is the *thread* that forked.
    """
    parent = os.getpid()

    def ask() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(number))
            if os.getppid() != parent:  # it ended between the fork and the request
                os.kill(os.getpid(), number)

    return ask


def name_process(name: str) -> None:
    """Show a name in `ps` and `top` (Linux; at most 15 bytes)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_NAME, name.encode()[:15])
