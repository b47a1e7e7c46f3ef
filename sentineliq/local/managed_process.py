"""Keeps one component running: starts it, reads its output, restarts it when it ends, stops it."""

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from sentineliq.local.components import Component, Readiness
from sentineliq.local.errors import StackError
from sentineliq.local.orphans import ProcessRegistry
from sentineliq.local.processes import Child, signal_group

State = Literal["starting", "ready", "ended", "done", "stopped"]
OnLine = Callable[[str, str], None]
OnState = Callable[[str, State, str], None]

READY_WITHIN = 60.0
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 10.0
_HEALTHY_AFTER = 30.0
"""Seconds of life after which the next restart waits for the first delay again."""
_ATTEMPTS_BEFORE_READY = 3
_DIES_WITHIN = 2.0
_LAST_LINES = 20


@dataclass(frozen=True)
class ProcessMonitor:
    """Who is notified of what happens to processes.

    Args:
        on_line: called with a component's name and a line of its output.
        on_state: called with a component's name, its new state, and a detail for people ("" when
            there is none).
        registry: stores the process ids.
    """

    on_line: OnLine
    on_state: OnState
    registry: ProcessRegistry


@dataclass
class ManagedProcess:
    """The life of one component.

    Args:
        component: what to keep running.
        monitor: who is notified.
    """

    component: Component
    monitor: ProcessMonitor
    _child: Child | None = None
    _task: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    async def start(self) -> None:
        """Start the component for good, and wait until it is ready.

        Raises:
            StackError: it does not become ready; the message has its last lines.
        """
        self._task = asyncio.create_task(self._keep_running())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            {self._task, ready}, timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if self._task.done():
            await self._task  # raises why
        if not self._ready.is_set():
            raise self._failure(f"was not ready within {READY_WITHIN:g} s")

    async def run_once(self) -> None:
        """Run the component to its end.

        Raises:
            StackError: it cannot start, or its exit code is not 0; the message has its last lines.
        """
        self._task = asyncio.create_task(self._once())
        await self._task

    async def stop(self, grace: float) -> None:
        """Ask the component to end, and kill it after `grace` seconds. Safe in any state."""
        self._stopping.set()
        if self._task is None or self._task.done():
            return
        if self._child is not None:
            with suppress(ProcessLookupError):
                # The process alone: it stops its own children in its own order.
                os.kill(self._child.pid, self.component.stop_signal)
        await asyncio.wait({self._task}, timeout=grace)
        if not self._task.done():
            self.kill()
            await asyncio.wait({self._task}, timeout=2 * _DIES_WITHIN)
        self.monitor.on_state(self.name, "stopped", "")

    def kill(self) -> None:
        """Kill the component and all that it started, now."""
        self._stopping.set()
        if self._child is not None:
            signal_group(self._child.pid, signal.SIGKILL)

    async def _once(self) -> None:
        code = await self._live()
        if code:
            raise self._failure(_describe_exit(code))
        self.monitor.on_state(self.name, "done", "")

    async def _keep_running(self) -> None:
        attempts = 0
        delay = _FIRST_DELAY
        while not self._stopping.is_set():
            attempts += 1
            started_at = time.monotonic()
            reason = await self._attempt()
            if self._stopping.is_set():
                return
            if not self._ready.is_set() and attempts >= _ATTEMPTS_BEFORE_READY:
                raise self._failure(reason)
            if time.monotonic() - started_at >= _HEALTHY_AFTER:
                delay = _FIRST_DELAY
            detail = f"{reason}; starting again in {delay:g} s"
            self.monitor.on_state(self.name, "ended", detail)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _attempt(self) -> str:
        """Live once and return why it ended; a first start that is impossible is an error."""
        try:
            return _describe_exit(await self._live())
        except (StackError, OSError) as error:
            if not self._ready.is_set():
                raise
            return str(error)

    async def _live(self) -> int:
        """Start a process and wait for its end; returns its exit code."""
        self.monitor.on_state(self.name, "starting", "")
        started_at = time.monotonic()
        async with self.component.started() as (child, readiness):
            self._child = child
            self.monitor.registry.add(self.name, child.pid, self.component.stop_signal)
            output = asyncio.create_task(self._read_output(child))
            readiness_task = asyncio.create_task(self._await_ready(readiness, started_at))
            if self._stopping.is_set():
                self.kill()
            code = await child.wait()
            # Kill the children that it left behind. When only the fork server has died, and the
            # child counts as lost, this ends the child itself.
            signal_group(child.pid, signal.SIGKILL)
            self._child = None
            readiness_task.cancel()
            await asyncio.wait({output, readiness_task}, timeout=_DIES_WITHIN)
            output.cancel()
            self.monitor.registry.remove(self.name)
            return code

    async def _await_ready(self, readiness: Readiness, started_at: float) -> None:
        await readiness()
        self._ready.set()
        self.monitor.on_state(self.name, "ready", f"{time.monotonic() - started_at:.1f} s")

    async def _read_output(self, child: Child) -> None:
        assert child.stdout is not None  # noqa: S101  # both kinds of start ask for it
        while True:
            try:
                line = await child.stdout.readline()
            except ValueError:  # longer than any log line; asyncio has dropped it
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            self.monitor.on_line(self.name, text)

    def _failure(self, reason: str) -> StackError:
        lines = "".join(f"\n  {line}" for line in self._last_lines)
        output = f"; its last lines:{lines}" if lines else ""
        return StackError(f"{self.name} {reason}{output}")


def _describe_exit(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
