"""What `up` and `demo` show: plain lines, and on a terminal also what is being waited for."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.status import Status
from rich.text import Text

from sentineliq.cli import output
from sentineliq.local.managed_process import State

_WIDTH: Final = 24
_LOUD: Final = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
_MILESTONES: Final = {"notification", "load.finished", "beat.started"}
_WORTH_A_LINE: Final = {"feeds.tasks.run_feed"}
"""Tasks whose end is news."""
_NOISE: Final = {
    "event",
    "level",
    "logger",
    "time",
    "kind",
    "service",
    "trace_id",
    "span_id",
    "parent_span_id",
    "task_id",
    "actor",
    "matches",
    "url",
    "id",
    "load",
}
_SERVERS_WORRY: Final = re.compile(r"\b(WARN|ERROR|FATAL|PANIC)\b")


class ProgressLines:
    """Says what happens, line by line; its methods may be called from any thread.

    Args:
        console: where to.
        verbose: also every line that the processes write.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._begun = time.monotonic()
        self._starting: dict[str, float] = {}
        self._status: Status | None = None
        self._starting_up = False
        self._muted = False

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun

    def line(self, subject: str, text: str, style: str = "") -> None:
        """Say one thing about one subject."""
        self._console.print(
            Text.assemble((f"{subject:<{_WIDTH}}", "bold"), (output.clean(text), style))
        )

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """On a terminal, show meanwhile which parts are starting.

        Parts that look for each other warn that they are not there yet: meanwhile only errors are worth a line.
        """
        self._starting_up = True
        with self._console.status("starting") as self._status:
            yield
        self._status, self._starting_up = None, False

    def mute(self) -> None:
        """From now on only what went wrong: it is being stopped."""
        self._muted = True

    def on_state(self, part: str, state: State, detail: str) -> None:
        """A part of the stack has a new state."""
        match state:
            case "starting":
                self._starting[part] = time.monotonic()
            case "ready":
                self._starting.pop(part, None)
                self.line(part, f"ready after {detail}", "green")
            case "done":
                took = time.monotonic() - self._starting.pop(part, time.monotonic())
                self.line(part, f"done after {took:.1f} s", "green")
            case "ended" if not self._muted:
                self.line(part, detail, "yellow")
            case "stopped" if detail:
                self.line(part, f"stopped: {detail}", "yellow")
        if self._status is not None:
            self._status.update(f"starting {', '.join(sorted(self._starting))}")

    def on_line(self, part: str, text: str) -> None:
        """A part of the stack wrote a line."""
        if self._verbose:
            self.line(part, text, "dim")
            return
        entry = _entry(text)
        if self._muted or (self._starting_up and not _is_failure(entry)):
            return
        if entry is None:
            if _SERVERS_WORRY.search(text):
                self.line(part, text, "yellow")
        elif entry.get("level") in _LOUD:
            self.line(part, _said(entry), _LOUD[entry["level"]])
        elif _is_milestone(entry):
            self.line(part, _said(entry))


def _entry(text: str) -> dict[str, Any] | None:
    """A structured log line; None for anything else."""
    if not text.startswith("{"):
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _is_failure(entry: dict[str, Any] | None) -> bool:
    """Whether a line tells of more than a part that is not there yet, which Kafka's client calls an error."""
    return (
        entry is not None
        and entry.get("level") in ("error", "critical")
        and "aiokafka" not in entry.get("logger", "")
    )


def _is_milestone(entry: dict[str, Any]) -> bool:
    if entry["event"] == "task.ended":
        return entry.get("task") in _WORTH_A_LINE
    return entry["event"] in _MILESTONES


def _said(entry: dict[str, Any]) -> str:
    pairs = " ".join(
        f"{name}={_short(value)}" for name, value in entry.items() if name not in _NOISE
    )
    return f"{entry['event']} {pairs}".rstrip()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 300 else f"{text[:300]}…"
