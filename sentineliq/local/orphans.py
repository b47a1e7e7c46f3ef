"""The registry of a data folder's processes, and the end of those that a killed supervisor left."""

import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from sentineliq.local.processes import signal_group

_GRACE = 6.0


class RegisteredProcess(NamedTuple):
    """A process of the registry that still runs."""

    process: psutil.Process
    stop_signal: signal.Signals
    name: str


@dataclass
class ProcessRegistry:
    """The file `processes` of a data folder.

    It has a line `pid start-time stop-signal name` for each running component.

    Args:
        path: the file.
    """

    path: Path
    _lines: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, pid: int, stop_signal: signal.Signals) -> None:
        """Register a process that was just started; it replaces an earlier one of that name."""
        with suppress(psutil.NoSuchProcess):
            started_at = psutil.Process(pid).create_time()
            self._lines[name] = f"{pid} {started_at} {int(stop_signal)} {name}\n"
            self._write()

    def remove(self, name: str) -> None:
        """Remove a process that has ended."""
        self._lines.pop(name, None)
        self._write()

    def end_orphans(self) -> list[str]:
        """End what an earlier supervisor left running. Blocks for up to about twelve seconds.

        Returns:
            The names of the components that still ran.
        """
        orphans = _running(self.path)
        for number in (None, signal.SIGKILL):
            for orphan in orphans:
                if orphan.process.is_running():
                    signal_group(orphan.process.pid, number or orphan.stop_signal)
            psutil.wait_procs([orphan.process for orphan in orphans], timeout=_GRACE)
        self._write()
        return [orphan.name for orphan in orphans]

    def _write(self) -> None:
        self.path.write_text("".join(self._lines.values()))


def running_processes(data_dir: Path) -> dict[str, int]:
    """The components that run on a data folder now, by name, with their process ids."""
    return {entry.name: entry.process.pid for entry in _running(data_dir / "processes")}


def _running(path: Path) -> list[RegisteredProcess]:
    entries = []
    with suppress(FileNotFoundError):
        for line in path.read_text().splitlines():
            pid, started_at, number, name = line.split(maxsplit=3)
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(pid))
                # The system uses ids again: another start time means another process.
                is_same = process.create_time() == float(started_at)
                if is_same and process.status() != psutil.STATUS_ZOMBIE:
                    entries.append(RegisteredProcess(process, signal.Signals(int(number)), name))
    return entries
