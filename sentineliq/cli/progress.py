"""The progress of `up` and `demo`: plain lines, and on a terminal also what is starting."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from rich.console import Console
from rich.status import Status
from rich.text import Text

from sentineliq.cli import output
from sentineliq.local.managed_process import State
from sentineliq.local.stack import Stack

_WIDTH: Final = 24
_LOUD: Final = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
_MILESTONES: Final = {"notification", "load.finished", "beat.started"}
_REPORTED_TASKS: Final = {"feeds.tasks.run_feed"}
"""Tasks whose end is shown."""
_HIDDEN_FIELDS: Final = {
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
_SERVER_WARNING: Final = re.compile(r"\b(WARN|ERROR|FATAL|PANIC)\b")
_MAX_FIELD: Final = 300


class ProgressLines:
    """Prints what happens, line by line; its methods may be called from any thread.

    Args:
        console: where it prints.
        verbose: print every line that the processes write.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._started_at = time.monotonic()
        self._starting: dict[str, float] = {}
        self._status: Status | None = None
        self._is_starting_up = False
        self._is_muted = False

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started_at

    def line(self, subject: str, text: str, style: str = "") -> None:
        """Print a line about a subject."""
        head = f"{subject:<{_WIDTH}}"
        self._console.print(Text.assemble((head, "bold"), (output.printable(text), style)))

    @contextmanager
    def starting_up(self) -> Iterator[None]:
        """On a terminal, show which components are starting.

        Components that miss each other warn at first: during this time only errors are printed.
        """
        self._is_starting_up = True
        with self._console.status("starting") as self._status:
            yield
        self._status = None
        self._is_starting_up = False

    def mute(self) -> None:
        """Print no more log lines: the stack is being stopped."""
        self._is_muted = True

    def on_state(self, component: str, state: State, detail: str) -> None:
        """Print a component's new state."""
        match state:
            case "starting":
                self._starting[component] = time.monotonic()
            case "ready":
                self._starting.pop(component, None)
                self.line(component, f"ready after {detail}", "green")
            case "done":
                began = self._starting.pop(component, time.monotonic())
                self.line(component, f"done after {time.monotonic() - began:.1f} s", "green")
            case "ended" if not self._is_muted:
                self.line(component, detail, "yellow")
            case "stopped" if detail:
                self.line(component, f"stopped: {detail}", "yellow")
        if self._status is not None:
            self._status.update(f"starting {', '.join(sorted(self._starting))}")

    def on_line(self, component: str, text: str) -> None:
        """Print a line that a component wrote, if it is news or a warning."""
        if self._verbose:
            self.line(component, text, "dim")
            return
        entry = _log_entry(text)
        if self._is_muted or (self._is_starting_up and not _is_failure(entry)):
            return
        if entry is None:
            if _SERVER_WARNING.search(text):
                self.line(component, text, "yellow")
        elif entry.get("level") in _LOUD:
            self.line(component, _summary(entry), _LOUD[entry["level"]])
        elif _is_milestone(entry):
            self.line(component, _summary(entry))


@contextmanager
def running_stack(stack: Stack, progress: ProgressLines) -> Iterator[None]:
    """Run a stack during the block; its progress is printed until it is stopped."""
    with ExitStack() as resources:
        with progress.starting_up():
            resources.enter_context(stack.running())
        try:
            yield
        finally:
            progress.mute()


def _log_entry(text: str) -> dict[str, Any] | None:
    """A structured log line; None for any other text."""
    if not text.startswith("{"):
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _is_failure(entry: dict[str, Any] | None) -> bool:
    """Whether it is an error other than Kafka's client missing a broker that is still starting."""
    return (
        entry is not None
        and entry.get("level") in ("error", "critical")
        and "aiokafka" not in entry.get("logger", "")
    )


def _is_milestone(entry: dict[str, Any]) -> bool:
    if entry["event"] == "task.ended":
        return entry.get("task") in _REPORTED_TASKS
    return entry["event"] in _MILESTONES


def _summary(entry: dict[str, Any]) -> str:
    pairs = [
        f"{name}={_shorten(value)}" for name, value in entry.items() if name not in _HIDDEN_FIELDS
    ]
    return " ".join([entry["event"], *pairs])


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _MAX_FIELD else f"{text[:_MAX_FIELD]}…"
