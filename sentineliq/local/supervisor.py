"""Starts the components stage by stage, keeps them running, and stops them in reverse order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sentineliq.local.components import Component, ServiceProcess
from sentineliq.local.errors import StackError
from sentineliq.local.managed_process import ManagedProcess, ProcessMonitor
from sentineliq.local.processes import ForkServer


@dataclass(frozen=True)
class Stage:
    """Components that start side by side, when the stage before is ready.

    Args:
        components: what to start.
        once: run each to its end (exit code 0) instead of keeping it.
        at_a_time: how many start side by side.
        grace: seconds that they get to stop in order.
    """

    components: Sequence[Component]
    once: bool = False
    at_a_time: int = 64
    grace: float = 5.0


@dataclass
class Supervisor:
    """All running processes. All methods belong to one event loop.

    Args:
        stages: what to start, in order.
        monitor: who is notified of what happens.
        fork_server: forks the Python processes; it imports while the first stage starts.
    """

    stages: Sequence[Stage]
    monitor: ProcessMonitor
    fork_server: ForkServer
    _started: list[list[ManagedProcess]] = field(default_factory=list)
    _is_stopping: bool = False

    async def start(self) -> None:
        """Start everything and wait until all of it is ready.

        Raises:
            StackError: a component cannot start. What runs by then keeps running until `stop`.
        """
        for stage in self.stages:
            if any(isinstance(component, ServiceProcess) for component in stage.components):
                await self.fork_server.open()
                break
        for stage in self.stages:
            await self._start_stage(stage)

    async def stop(self) -> None:
        """Stop everything: the last stage first, each stage's components side by side."""
        self._is_stopping = True
        for stage, processes in reversed(list(zip(self.stages, self._started, strict=False))):
            await asyncio.gather(*(process.stop(stage.grace) for process in processes))
        await self.fork_server.close()

    async def kill(self) -> None:
        """Kill everything now, in no order."""
        self._is_stopping = True
        for processes in self._started:
            for process in processes:
                process.kill()
        await self.stop()

    async def _start_stage(self, stage: Stage) -> None:
        slots = asyncio.Semaphore(stage.at_a_time)
        processes = [ManagedProcess(component, self.monitor) for component in stage.components]
        self._started.append(processes)

        async def start(process: ManagedProcess) -> None:
            async with slots:
                if self._is_stopping:
                    raise StackError(f"stopped before {process.name} was started")
                await (process.run_once() if stage.once else process.start())

        await asyncio.gather(*(start(process) for process in processes))
