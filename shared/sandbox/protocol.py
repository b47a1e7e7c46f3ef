"""The messages between a parent and its child: five bytes of head, then the body.

A head is the kind of the message and the length of its body, big endian. Descriptors travel with
the head of a job.
"""

import socket
import struct
from typing import Any, Final

import msgspec

HEAD: Final = struct.Struct(">cI")
MAX_FILES: Final = 4
"""Descriptors of one job."""

READY: Final = b"R"
"""To the parent, once: the child takes jobs. The body lists what confines it."""
JOB: Final = b"J"
"""To the child: a `JobOrder`."""
FRAME: Final = b"F"
"""To the parent: a part of the result."""
REFUSAL: Final = b"E"
"""To the parent: the job has ended with an error, a `JobRefusal`."""
END: Final = b"D"
"""To the parent: the job has ended and the child waits for another one."""
RETIRED: Final = b"X"
"""To the parent: the job has ended and so does the child, because it has grown."""


class JobOrder(msgspec.Struct, array_like=True):
    """A job.

    Attributes:
        job: its function, as `module:name`.
        seconds: of processor time that it may take.
        request: for the function.
    """

    job: str
    seconds: float
    request: bytes


class JobRefusal(msgspec.Struct, array_like=True):
    """The error that a job ended with.

    Attributes:
        kind: name of the error's class; "memory" and "open-files" are limits, "fault" a bug.
        message: for people.
        details: of the error.
    """

    kind: str
    message: str
    details: dict[str, Any]


class PeerClosed(Exception):
    """The other end closed the socket."""


def send(sock: socket.socket, kind: bytes, body: bytes = b"") -> None:
    """Send a message."""
    sock.sendall(HEAD.pack(kind, len(body)))
    if body:
        sock.sendall(body)


def receive_into(sock: socket.socket, target: memoryview) -> int:
    """Some bytes, at least one; how many.

    Raises:
        PeerClosed: there are no more.
    """
    if not (count := sock.recv_into(target)):
        raise PeerClosed
    return count
