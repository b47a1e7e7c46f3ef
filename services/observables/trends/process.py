"""The process: one reader at a time, watched, until a signal ends it.

Counts of subjects go over all partitions, so one process reads them all; a second one stands by and takes over when
the first one's lock is gone. One core is enough: a chunk of 1,000 indicators takes about a millisecond.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import faust
import psycopg
from aiokafka.errors import KafkaError

from services.observables.trends.stream import LogReader, create_app
from services.observables.trends.watchdog import PATIENCE, Watchdog
from shared.database import Database
from shared.kafka.offsets import cluster_id
from shared.runtime.probe import notify_ready, serve_probes
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_LOOK_AGAIN: Final = 1.0
_GRACE: Final = 5.0


class LeaderLock:
    """A lock in the database that the reader holds: an advisory one, gone with its connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection | None = None

    def held(self) -> bool:
        """Whether this process has the lock, after trying to take it.

        Raises:
            psycopg.Error: the database does not answer.
        """
        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
            except psycopg.Error:
                self.release()
            else:
                return True
        connection = self._database.connect()
        row = connection.execute(
            "SELECT pg_try_advisory_lock(hashtext('sentineliq.trends'))"
        ).fetchone()
        if row is not None and row[0]:
            self._connection = connection
            return True
        connection.close()
        return False

    def release(self) -> None:
        """Let the next one read."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def run(
    settings: Settings,
    database: Database,
    *,
    ready: Callable[[], None] = notify_ready,
    patience: float = PATIENCE,
) -> None:
    """Find and announce trends until SIGTERM or SIGINT.

    Args:
        settings: where the cluster is.
        database: the observables service's.
        ready: called when partitions are assigned, or when this process stands by.
        patience: seconds without a record handled, while some wait, after which the process ends.

    Raises:
        SystemExit: the stream ended by itself, or another process reads; whoever supervises starts it again.
    """
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings.probe_port is not None:
        serve_probes(settings.probe_port, database.check)
    failed = asyncio.run(_run(settings, database, ready, patience))
    if failed:
        log.error("trends.ended", reason=failed)
        sys.exit(1)
    database.close()
    log.info("stopped")


async def _run(
    settings: Settings, database: Database, ready: Callable[[], None], patience: float
) -> str | None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lock = LeaderLock(database)
    try:
        if not await _leading(lock, stop, ready) or not await _reachable(settings, stop):
            return None
        reading = LogReader(settings, database, ready)
        app = create_app(settings, reading)
        Watchdog(
            settings, reading.topics, lambda: reading.beats, reading.positions, patience
        ).start()
        await app.start()
        reason = await _ended(app, lock, stop)
        await _stop(app, reason)
        return reason
    finally:
        lock.release()


async def _stop(app: faust.App, reason: str | None) -> None:
    """Stop the app, or the process, when it has not stopped in time.

    Faust waits for records that are being handled, and those may wait for the database. They need no farewell: the
    state is in memory, and what is not committed will be read again.
    """
    stopping = asyncio.create_task(app.stop())
    await asyncio.wait({stopping}, timeout=_GRACE)
    if not stopping.done():
        log.warning("trends.cut_short", seconds=_GRACE, reason=reason)
        os._exit(1 if reason else 0)


async def _leading(lock: LeaderLock, stop: asyncio.Event, ready: Callable[[], None]) -> bool:
    """Wait for the lock; False when a signal came first."""
    said = False
    while not stop.is_set():
        try:
            if await asyncio.to_thread(lock.held):
                return True
        except psycopg.Error as error:
            log.warning("trends.waiting", reason=str(error))
        else:
            if not said:
                log.info("trends.standing_by")
                ready()
                said = True
        await _sleep(stop)
    return False


async def _reachable(settings: Settings, stop: asyncio.Event) -> bool:
    """Wait for the cluster, which Faust would only crash about; False when a signal came first."""
    while not stop.is_set():
        try:
            await cluster_id(settings)
        except (KafkaError, OSError) as error:
            log.warning("trends.waiting", reason=str(error))
            await _sleep(stop)
        else:
            return True
    return False


async def _ended(app: faust.App, lock: LeaderLock, stop: asyncio.Event) -> str | None:
    """Wait for the end; why it came, when nobody asked for it."""
    while not stop.is_set():
        state: Any = app
        if state.should_stop or state.crashed:
            return f"the stream ended: {state.crash_reason!r}"
        try:
            if not await asyncio.to_thread(lock.held):
                return "another process took over"
        except psycopg.Error as error:
            log.warning("trends.waiting", reason=str(error))
        await _sleep(stop)
    return None


async def _sleep(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_AGAIN):
            await stop.wait()
