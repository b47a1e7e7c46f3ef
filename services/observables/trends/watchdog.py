"""Ends a process that reads nothing while there is something to read.

Stream processors have been seen to go silent after a rebalance or a lost broker, alive and doing nothing. The state is
recomputed from the log anyway, so the remedy is a new process. This is a thread with its own connection: what hangs in
the process's event loop does not hang here.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from aiokafka.errors import KafkaError

from services.observables.trends.analysis import Place
from services.observables.trends.replay import OffsetClient
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

PATIENCE: Final = 60.0
EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits(3): the fault is our own."""


def lag(positions: Mapping[Place, int], ends: Mapping[Place, int]) -> int:
    """Records that are in the log and not handled; a partition without a position is not handled at all."""
    return sum(max(0, end - positions.get(place, 0)) for place, end in ends.items())


class SilenceTimer:
    """Decides when silence has lasted too long.

    Args:
        seconds: without anything handled, while something waited all that time.
    """

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds
        self._beats: int | None = None
        self._since = 0.0

    def ended(self, now: float, beats: int, waiting: int | None) -> bool:
        """Whether to give up.

        Args:
            now: monotonic seconds.
            beats: rises with every record handled, and with every other sign of life.
            waiting: records not handled; None when the log does not say.
        """
        if not waiting or beats != self._beats:
            # A log that does not answer gives no reason: a new process would not hear from it either.
            self._beats, self._since = beats, now
        return now - self._since >= self._seconds


class Watchdog:
    """Watches from a thread of its own.

    Args:
        settings: where the cluster is.
        topics: what is read, by the cluster's names.
        beats: signs of life so far.
        positions: where the partitions go on.
        patience: seconds of silence.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Collection[str],
        beats: Callable[[], int],
        positions: Callable[[], Mapping[Place, int]],
        patience: float = PATIENCE,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._beats = beats
        self._positions = positions
        self._seconds = patience
        self._pause = min(5.0, patience / 4)

    def start(self) -> None:
        """Begin to watch, until the process ends."""
        threading.Thread(
            target=lambda: asyncio.run(self._watch()), name="watchdog", daemon=True
        ).start()

    async def _watch(self) -> None:
        patience = SilenceTimer(self._seconds)
        while True:
            with suppress(KafkaError, OSError, TimeoutError):
                async with OffsetClient(self._settings) as cluster:
                    await self._ask(cluster, patience)
            patience.ended(time.monotonic(), self._beats(), None)
            await asyncio.sleep(self._pause)

    async def _ask(self, cluster: OffsetClient, patience: SilenceTimer) -> None:
        while True:
            async with asyncio.timeout(30):
                ends = await cluster.ends(self._topics)
            waiting = lag(self._positions(), ends)
            if patience.ended(time.monotonic(), self._beats(), waiting):
                log.error("trends.silent", waiting=waiting, seconds=self._seconds)
                os._exit(EXIT_CODE)
            await asyncio.sleep(self._pause)
