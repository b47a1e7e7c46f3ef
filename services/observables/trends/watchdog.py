"""Ends a process that reads nothing while there are records to read.

Stream processors have been seen to go silent after a rebalance or a lost broker: alive, but idle.
The state is recomputed from the log anyway, so the remedy is a new process. The watchdog is a
thread with its own connection, which does not hang when the process's event loop hangs.
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
"""Seconds of silence after which the process ends."""

EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits(3): an internal error."""

_ASK_SECONDS: Final = 30.0


def lag(positions: Mapping[Place, int], ends: Mapping[Place, int]) -> int:
    """Records in the log that are not handled; a partition without a position counts as unread."""
    return sum(max(0, end - positions.get(place, 0)) for place, end in ends.items())


class SilenceTimer:
    """Decides when silence has lasted too long.

    Args:
        seconds: without a record handled, while some waited all that time.
    """

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds
        self._beats: int | None = None
        self._since = 0.0

    def expired(self, now: float, beats: int, waiting: int | None) -> bool:
        """Note the present state; whether the process has to end.

        Args:
            now: monotonic seconds.
            beats: rises with every record handled, and with every other sign of life.
            waiting: records not handled; None when the log does not answer.
        """
        # A log that does not answer is no reason: it would not answer a new process either.
        if not waiting or beats != self._beats:
            self._beats = beats
            self._since = now
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
        self._timer = SilenceTimer(patience)
        self._patience = patience
        self._pause = min(5.0, patience / 4)

    def start(self) -> None:
        """Watch in the background until the process ends."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _run(self) -> None:
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        while True:
            # A connection that fails is opened again.
            with suppress(KafkaError, OSError, TimeoutError):
                async with OffsetClient(self._settings) as client:
                    await self._watch_connected(client)
            self._timer.expired(time.monotonic(), self._beats(), None)
            await asyncio.sleep(self._pause)

    async def _watch_connected(self, client: OffsetClient) -> None:
        while True:
            async with asyncio.timeout(_ASK_SECONDS):
                ends = await client.ends(self._topics)
            waiting = lag(self._positions(), ends)
            if self._timer.expired(time.monotonic(), self._beats(), waiting):
                log.error("trends.silent", waiting=waiting, seconds=self._patience)
                os._exit(EXIT_CODE)
            await asyncio.sleep(self._pause)
