"""Podman's command line, with settings under which it runs inside a container of CI, too."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

_SETTINGS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
[network]
network_backend = "netavark"
"""
"""crun refuses hybrid cgroups, and the default ulimits may exceed the hard limit."""
_PROGRAMS = ("podman", "runc", "catatonit")


class PodmanError(Exception):
    """A command failed; the message is its output."""


class Podman:
    """Runs commands of Podman.

    Args:
        folder: where its settings are written.
    """

    def __init__(self, folder: Path) -> None:
        settings = folder / "containers.conf"
        settings.write_text(_SETTINGS)
        self._environment = {**os.environ, "CONTAINERS_CONF": str(settings)}

    def run(self, *arguments: str, seconds: float = 60, data: bytes | None = None) -> str:
        """Run a command; its output.

        Args:
            arguments: after `podman`.
            seconds: after which it is ended.
            data: its standard input.

        Raises:
            PodmanError: it failed.
        """
        result = self.attempt(*arguments, seconds=seconds, data=data)
        if result.returncode:
            output = result.stderr.decode(errors="replace") + result.stdout.decode(errors="replace")
            raise PodmanError(f"podman {' '.join(arguments[:3])} …: {output[-4000:]}")
        return result.stdout.decode(errors="replace").strip()

    def attempt(
        self, *arguments: str, seconds: float = 60, data: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command, whatever its exit code is."""
        return subprocess.run(
            ["podman", "--log-level=error", *arguments],
            check=False,
            capture_output=True,
            env=self._environment,
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            timeout=seconds,
        )

    def inspect(self, name: str) -> dict[str, Any]:
        """What Podman knows of a container, image or network."""
        [document] = json.loads(self.run("inspect", name))
        return dict(document)

    def pipe(self, producer: list[str], *arguments: str) -> None:
        """Run a command on the output of another program."""
        with subprocess.Popen(producer, stdout=subprocess.PIPE) as source:
            subprocess.run(
                ["podman", *arguments],
                check=True,
                capture_output=True,
                env=self._environment,
                stdin=source.stdout,
                timeout=300,
            )


def missing_programs() -> list[str]:
    """The programs without which no container runs here."""
    return [name for name in _PROGRAMS if shutil.which(name) is None]
