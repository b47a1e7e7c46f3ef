"""Which processes a data folder has: for whoever looks for one, and to clear what a killed supervisor left."""

import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sentineliq.local.processes import signal_group

_GRACE = 6.0


@dataclass
class ProcessRegistry:
    """The file `processes` of a data folder: a line `pid start-time stop-signal name` for each running part.

    Args:
        path: the file.
    """

    path: Path
    _lines: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, pid: int, stop_signal: signal.Signals) -> None:
        """Note a process that was just started; it replaces an earlier one of that name."""
        with suppress(psutil.NoSuchProcess):
            self._lines[name] = (
                f"{pid} {psutil.Process(pid).create_time()} {int(stop_signal)} {name}\n"
            )
            self._write()

    def remove(self, name: str) -> None:
        """Forget a process that has ended."""
        self._lines.pop(name, None)
        self._write()

    def end_orphans(self) -> list[str]:
        """End what an earlier supervisor left running. Blocks for up to about six seconds.

        Returns:
            The names of the parts that were still there.
        """
        left = _alive(self.path)
        for number in (None, signal.SIGKILL):
            for process, stop_signal, _name in left:
                if process.is_running():
                    signal_group(process.pid, number or stop_signal)
            psutil.wait_procs([process for process, _, _ in left], timeout=_GRACE)
        self._write()
        return [name for _, _, name in left]

    def _write(self) -> None:
        self.path.write_text("".join(self._lines.values()))


def running_processes(data_dir: Path) -> dict[str, int]:
    """The parts that run on a data folder now, by name, with their process ids."""
    return {name: process.pid for process, _, name in _alive(data_dir / "processes")}


def _alive(path: Path) -> list[tuple[psutil.Process, signal.Signals, str]]:
    found = []
    with suppress(FileNotFoundError):
        for line in path.read_text().splitlines():
            pid, born, number, name = line.split(maxsplit=3)
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(pid))
                # Ids are used again: the same one with another birthday is somebody else.
                if (
                    process.create_time() == float(born)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append((process, signal.Signals(int(number)), name))
    return found
