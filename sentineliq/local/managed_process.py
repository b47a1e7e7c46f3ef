"""Keeps one part running: starts it, passes on what it says, starts it again when it ends, stops it."""

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
_FIRST_DELAY, _LONGEST_DELAY, _HEALTHY_AFTER = 0.5, 10.0, 30.0
_ATTEMPTS_BEFORE_READY = 3
_DIES_WITHIN = 2.0
_LAST_LINES = 20


@dataclass(frozen=True)
class ProcessMonitor:
    """Who is told what happens.

    Args:
        on_line: called with a part's name and a line of its output.
        on_state: called with a part's name, its new state, and a detail for people ("" when there is none).
        register: notes the process ids.
    """

    on_line: OnLine
    on_state: OnState
    register: ProcessRegistry


@dataclass
class ManagedProcess:
    """One part's life.

    Args:
        part: what to keep.
        watch: who is told.
    """

    part: Component
    monitor: ProcessMonitor
    _child: Child | None = None
    _task: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _last: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    async def start(self) -> None:
        """Start the part for good, and wait until it is ready.

        Raises:
            StackError: it does not become ready; with its last lines.
        """
        self._task = asyncio.create_task(self._keep())
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
        """Run the part to its end.

        Raises:
            StackError: it cannot start, or its exit code is not 0; with its last lines.
        """
        self._task = asyncio.create_task(self._once())
        await self._task

    async def stop(self, grace: float) -> None:
        """Ask the part to end, and make it end after `grace` seconds. Safe to call in any state."""
        self._stopping.set()
        if self._task is None or self._task.done():
            return
        if self._child is not None:
            with suppress(ProcessLookupError):
                # The process alone: it stops in its own order what it has started.
                os.kill(self._child.pid, self.part.stop_signal)
        await asyncio.wait({self._task}, timeout=grace)
        if not self._task.done():
            self.kill()
            await asyncio.wait({self._task}, timeout=2 * _DIES_WITHIN)
        self.monitor.on_state(self.part.name, "stopped", "")

    def kill(self) -> None:
        """End the part and all that it started, now."""
        self._stopping.set()
        if self._child is not None:
            signal_group(self._child.pid, signal.SIGKILL)

    async def _once(self) -> None:
        code = await self._live()
        if code:
            raise self._failure(_ending(code))
        self.monitor.on_state(self.part.name, "done", "")

    async def _keep(self) -> None:
        attempts, delay = 0, _FIRST_DELAY
        while not self._stopping.is_set():
            attempts, born = attempts + 1, time.monotonic()
            why = await self._attempt()
            if self._stopping.is_set():
                return
            if not self._ready.is_set() and attempts >= _ATTEMPTS_BEFORE_READY:
                raise self._failure(why)
            if time.monotonic() - born >= _HEALTHY_AFTER:
                delay = _FIRST_DELAY
            self.monitor.on_state(self.part.name, "ended", f"{why}; starting again in {delay:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _attempt(self) -> str:
        """Live once. Returns why it ended; a first start that cannot be is an error."""
        try:
            return _ending(await self._live())
        except (StackError, OSError) as error:
            if not self._ready.is_set():
                raise
            return str(error)

    async def _live(self) -> int:
        self.monitor.on_state(self.part.name, "starting", "")
        born = time.monotonic()
        async with self.part.started() as (child, readiness):
            self._child = child
            self.monitor.register.add(self.part.name, child.pid, self.part.stop_signal)
            listening = asyncio.create_task(self._listen(child))
            getting_ready = asyncio.create_task(self._await_ready(readiness, born))
            if self._stopping.is_set():
                self.kill()
            code = await child.wait()
            # What it left behind; all of it, when only the nursery's death made it count as ended.
            signal_group(child.pid, signal.SIGKILL)
            self._child = None
            getting_ready.cancel()
            await asyncio.wait({listening, getting_ready}, timeout=_DIES_WITHIN)
            listening.cancel()
            self.monitor.register.remove(self.part.name)
            return code

    async def _await_ready(self, readiness: Readiness, born: float) -> None:
        await readiness()
        self._ready.set()
        self.monitor.on_state(self.part.name, "ready", f"{time.monotonic() - born:.1f} s")

    async def _listen(self, child: Child) -> None:
        assert child.stdout is not None  # noqa: S101  # both kinds of start ask for it
        while True:
            try:
                line = await child.stdout.readline()
            except ValueError:  # longer than any log line; asyncio has dropped it
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last.append(text)
            self.monitor.on_line(self.part.name, text)

    def _failure(self, why: str) -> StackError:
        said = "".join(f"\n  {line}" for line in self._last)
        return StackError(f"{self.part.name} {why}" + (f"; it said:{said}" if said else ""))


def _ending(code: int) -> str:
    return (
        f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    )
