"""The protocol of servers that the supervisor starts, and functions that they share."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec must not import.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Server(Protocol):
    """One server: how it is prepared, started, probed and stopped."""

    @property
    def name(self) -> str:
        """The server's name in logs and messages."""

    @property
    def url(self) -> str:
        """The address for clients, secrets included."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that the process gets besides the supervisor's."""

    @property
    def user(self) -> str | None:
        """The system user that the process must run as; None for the supervisor's own."""

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that asks the process to stop in order and soon."""

    def prepare(self) -> None:
        """Make the data folder and the settings; what exists is kept. Blocks, and may be repeated.

        Raises:
            StackError: a requirement is missing; the message says what to do.
        """

    def command(self) -> list[str]:
        """The command line of the process, which stays in the foreground."""

    def is_ready(self) -> bool:
        """Whether the server answers its own protocol; returns within about a second."""


def exchange(port: int, request: bytes, size: int) -> bytes:
    """Send a request to a server on this machine over TCP.

    Args:
        port: where it should listen.
        request: the bytes to send.
        size: how many bytes of the response are needed.

    Returns:
        The first `size` bytes; fewer, or none, when no server listens or the response takes more
        than a second.
    """
    received = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((LOOPBACK, port), timeout=1) as connection,
    ):
        connection.sendall(request)
        while len(received) < size and (chunk := connection.recv(size - len(received))):
            received += chunk
        # Close without a reset, which the server would log.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 12):
            pass
    return received


def url_with_login(url: str, name: str, password: str) -> str:
    """The address of a server with another login.

    Args:
        url: its address.
        name: the login's; empty where a server asks for a password alone.
        password: the login's.
    """
    address = urlsplit(url)
    place = address.netloc.rpartition("@")[2]
    return address._replace(netloc=f"{name}:{password}@{place}").geturl()


def identity(user: str | None) -> dict[str, Any]:
    """Arguments for subprocess that run a program as a system user; none for the caller's own."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def dying_with_parent(number: signal.Signals) -> Callable[[], None]:
    """A function for a child to call after the fork: it gets a signal when its parent ends.

    This works on Linux; elsewhere the function does nothing. It must be called after a change of
    user, which clears the request, and the parent is the *thread* that forked.
    """
    parent = os.getpid()

    def request_signal() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(number))
            if os.getppid() != parent:  # it ended between the fork and the request
                os.kill(os.getpid(), number)

    return request_signal
