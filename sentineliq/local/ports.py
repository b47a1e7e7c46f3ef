"""The ports of one machine's components."""

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Self

from sentineliq.local.errors import StackError
from sentineliq.local.server import LOOPBACK


@dataclass(frozen=True)
class Ports:
    """The TCP port of each component.

    The defaults avoid those of PostgreSQL, Redis and Kafka, which may run on the machine.
    """

    feeds: int = 8001
    observables: int = 8002
    notifications: int = 8003
    mitre: int = 8004
    scheduler: int = 8005
    postgres: int = 5433
    valkey: int = 6390
    kafka: int = 19092
    kafka_controller: int = 19093
    gateway: int = 8000
    flower: int = 5555

    @classmethod
    def names(cls) -> list[str]:
        """The components that listen, in a fixed order."""
        return [field.name for field in fields(cls)]

    @classmethod
    def from_base(cls, base: int) -> Self:
        """All components on consecutive ports from `base` on.

        Raises:
            StackError: the ports would leave 1024..65535.
        """
        names = cls.names()
        highest = 65536 - len(names)
        if not 1024 <= base <= highest:
            raise StackError(
                f"--port-base {base} does not work: it must be between 1024 and {highest}"
            )
        return cls(**{name: base + offset for offset, name in enumerate(names)})

    @classmethod
    def free(cls) -> Self:
        """All components on ports that are free now (tests, demo)."""
        names = cls.names()
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))

    def of(self, name: str) -> int:
        """The port of a component.

        Raises:
            AttributeError: there is no such component.
        """
        port: int = getattr(self, name)
        return port

    def require_free(self, names: Iterable[str]) -> None:
        """Make sure that these components can listen.

        Raises:
            StackError: a port is in use; the message names each, its component, and how to move.
        """
        used = [name for name in names if not _is_free(self.of(name))]
        if used:
            listed = ", ".join(f"{self.of(name)} ({name})" for name in used)
            raise StackError(
                f"port already in use: {listed}. Stop what listens there (ss -ltnp shows it), move "
                f"one part with --port {used[0]}=PORT, or all of them with --port-base PORT"
            )


def free_ports(count: int) -> list[int]:
    """Ports on the loopback address that are free now, all different."""
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
