"""Starts the parts stage by stage, keeps them running, and stops them in the opposite order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sentineliq.local.components import Component, ServiceProcess
from sentineliq.local.errors import StackError
from sentineliq.local.managed_process import ManagedProcess, ProcessMonitor
from sentineliq.local.processes import ForkServer


@dataclass(frozen=True)
class Stage:
    """Parts that start side by side, when the stage before is ready.

    Args:
        parts: what to start.
        once: run each to its end (exit code 0) instead of keeping it.
        at_a_time: how many start side by side.
        grace: seconds that they get to stop in order.
    """

    parts: Sequence[Component]
    once: bool = False
    at_a_time: int = 64
    grace: float = 5.0


@dataclass
class Supervisor:
    """The whole of the running processes. All methods belong to one event loop.

    Args:
        stages: what to start, in order.
        watch: who is told what happens.
        nursery: forks the Python processes; warmed up while the first stage starts.
    """

    stages: Sequence[Stage]
    monitor: ProcessMonitor
    fork_server: ForkServer
    _kept: list[list[ManagedProcess]] = field(default_factory=list)
    _stopping: bool = False

    async def start(self) -> None:
        """Start everything and wait until all of it is ready.

        Raises:
            StackError: a part cannot start. What runs by then keeps running until `stop`.
        """
        if any(isinstance(part, ServiceProcess) for stage in self.stages for part in stage.parts):
            await self.fork_server.open()
        for stage in self.stages:
            await self._start_stage(stage)

    async def stop(self) -> None:
        """Stop everything: the last stage first, each stage's parts side by side."""
        self._stopping = True
        for stage, keepers in reversed(list(zip(self.stages, self._kept, strict=False))):
            await asyncio.gather(*(keeper.stop(stage.grace) for keeper in keepers))
        await self.fork_server.close()

    async def kill(self) -> None:
        """End everything now, without order."""
        self._stopping = True
        for keepers in self._kept:
            for keeper in keepers:
                keeper.kill()
        await self.stop()

    async def _start_stage(self, stage: Stage) -> None:
        turns = asyncio.Semaphore(stage.at_a_time)
        keepers = [ManagedProcess(part, self.monitor) for part in stage.parts]
        self._kept.append(keepers)

        async def begin(keeper: ManagedProcess) -> None:
            async with turns:
                if self._stopping:
                    raise StackError(f"stopped before {keeper.part.name} was started")
                await (keeper.run_once() if stage.once else keeper.start())

        await asyncio.gather(*(begin(keeper) for keeper in keepers))
