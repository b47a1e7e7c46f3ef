"""A child process gets no connection of its parent to PostgreSQL, not even one that is opening."""

import os
import socket
from contextlib import suppress
from typing import Any

from psycopg.pq.abc import PGconn

_servers: set[tuple[str, int] | str] = set()


def note_server(pgconn: PGconn) -> None:
    """Remember the address of a connection's server."""
    port = pgconn.port.decode() or "5432"
    address = pgconn.hostaddr.decode()
    if address:
        _servers.add((address, int(port)))
    else:
        _servers.add(f"{pgconn.host.decode()}/.s.PGSQL.{port}")


def _close_in_child() -> None:
    """Close the child's copies of the parent's sockets, without a word to the server."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in [int(entry.name) for entry in os.scandir("/dev/fd")]:
        with suppress(OSError):
            if _peer(descriptor) in _servers:
                # libpq still has the number, and must not meet somebody else's file under it.
                os.dup2(null, descriptor)
    os.close(null)


def _peer(descriptor: int) -> Any:
    """Return the address at the other end.

    Raises:
        OSError: it is no connected socket.
    """
    connection = socket.socket(fileno=os.dup(descriptor))
    try:
        peer = connection.getpeername()
    finally:
        connection.close()
    return peer if isinstance(peer, str) else tuple(peer[:2])


os.register_at_fork(after_in_child=_close_in_child)
