"""Flower, which shows workers and tasks, behind a login that is made at the first start."""

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sentineliq.local.server import LOOPBACK, exchange
from shared.private_files import write_private

LOGIN_FILE: Final = "flower-login.txt"
"""In the data folder: `<name>:<password>`, readable by its owner alone."""
_NAME: Final = "operator"
_READY: Final = b"HTTP/1.1 200 OK"


@dataclass(frozen=True)
class Flower:
    """One Flower on the loopback address.

    Args:
        data_dir: where its login is written.
        port: its TCP port.
        broker_url: of the queues, with its login.
        password: of its only login.
    """

    data_dir: Path
    port: int
    broker_url: str
    password: str
    name: str = "flower"
    user: None = None
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def url(self) -> str:
        """Its address, without the login."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def login(self) -> str:
        """Name and password, as HTTP's Basic scheme writes them."""
        return f"{_NAME}:{self.password}"

    @property
    def environment(self) -> Mapping[str, str]:
        """A command line would show these to every user of the machine."""
        return {"CELERY_BROKER_URL": self.broker_url, "FLOWER_BASIC_AUTH": self.login}

    def prepare(self) -> None:
        """Write the login, and an empty file of settings: Flower would run one of the folder."""
        write_private(self.data_dir / LOGIN_FILE, self.login + "\n")
        write_private(self._settings, "")

    def command(self) -> list[str]:
        """Flower in the foreground; it shows, and controls nothing."""
        return [
            *(sys.executable, "-m", "celery", "flower"),
            f"--address={LOOPBACK}",
            f"--port={self.port}",
            "--url_prefix=flower",
            "--read_only=true",
            # Workers send events by themselves, and obey no command.
            "--enable_events=false",
            "--logging=warning",
            f"--conf={self._settings}",
        ]

    def is_ready(self) -> bool:
        """Whether it answers."""
        request = b"GET /flower/healthcheck HTTP/1.0\r\n\r\n"
        return exchange(self.port, request, len(_READY)) == _READY

    @property
    def _settings(self) -> Path:
        return self.data_dir / "flower-settings.py"
