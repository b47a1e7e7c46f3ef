"""Which part listens where on one machine."""

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Self

from sentineliq.local.errors import StackError
from sentineliq.local.launcher import LOOPBACK


@dataclass(frozen=True)
class Ports:
    """The TCP port of each part; the defaults keep clear of what a PostgreSQL, Redis or Kafka on the machine uses."""

    feeds: int = 8001
    observables: int = 8002
    notifications: int = 8003
    mitre: int = 8004
    scheduler: int = 8005
    postgres: int = 5433
    valkey: int = 6390
    kafka: int = 19092
    kafka_controller: int = 19093

    @classmethod
    def names(cls) -> list[str]:
        """The parts that listen, in a fixed order."""
        return [field.name for field in fields(cls)]

    @classmethod
    def from_base(cls, base: int) -> Self:
        """All parts on consecutive ports from `base` on.

        Raises:
            StackError: the ports would leave 1024..65535.
        """
        names = cls.names()
        if not 1024 <= base <= 65536 - len(names):
            raise StackError(
                f"--port-base {base} does not work: it must be between 1024 and {65536 - len(names)}"
            )
        return cls(**{name: base + offset for offset, name in enumerate(names)})

    @classmethod
    def free(cls) -> Self:
        """All parts on ports that nobody uses now (tests, demo)."""
        names = cls.names()
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))

    def of(self, name: str) -> int:
        """The port of a part.

        Raises:
            AttributeError: there is no such part.
        """
        port: int = getattr(self, name)
        return port

    def require_free(self, names: Iterable[str]) -> None:
        """Make sure that these parts can listen.

        Raises:
            StackError: a port is taken; names each, its part, and how to move.
        """
        taken = [f"{self.of(name)} ({name})" for name in names if not _is_free(self.of(name))]
        if taken:
            raise StackError(
                f"port already in use: {', '.join(taken)}. Stop what listens there (ss -ltnp shows it), move one part "
                f"with --port {taken[0].split('(')[1][:-1]}=PORT, or all of them with --port-base PORT"
            )


def free_ports(count: int) -> list[int]:
    """Ports on the loopback address that nobody uses now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind((LOOPBACK, 0))
        return [listener.getsockname()[1] for listener in sockets]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise StackError(f"cannot listen on port {port}: {error.strerror}") from error
    return True
