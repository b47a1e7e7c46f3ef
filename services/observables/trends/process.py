"""The trends process: one reader at a time, watched, until a signal ends it.

Subjects are counted over all partitions, so one process reads them all; a second one stands by and
takes over when the first one's lock is gone. One core is enough: a chunk of 1,000 indicators takes
about a millisecond.
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

from services.observables.trends.leader_lock import LeaderLock
from services.observables.trends.reader import LogReader
from services.observables.trends.stream import create_app
from services.observables.trends.watchdog import PATIENCE, Watchdog
from shared.database import Database
from shared.kafka.offsets import cluster_id
from shared.runtime.probe import notify_ready, serve_probes
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 5.0


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
        SystemExit: the stream ended by itself, or another process took over; the supervisor
            starts this one again.
    """
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings.probe_port is not None:
        serve_probes(settings.probe_port, database.check)
    failure = asyncio.run(_run(settings, database, ready, patience))
    if failure:
        log.error("trends.ended", reason=failure)
        sys.exit(1)
    database.close()
    log.info("stopped")


async def _run(
    settings: Settings, database: Database, ready: Callable[[], None], patience: float
) -> str | None:
    """Read until the end; the reason, unless a signal asked for it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lock = LeaderLock(database)
    try:
        if not await _wait_for_lock(lock, stop, ready) or not await _wait_for_cluster(
            settings, stop
        ):
            return None
        reader = LogReader(settings, database, ready)
        app = create_app(settings, reader)
        Watchdog(settings, reader.topics, lambda: reader.beats, reader.positions, patience).start()
        await app.start()
        reason = await _wait_for_end(app, lock, stop)
        await _stop(app, reason)
        return reason
    finally:
        await asyncio.to_thread(lock.release)


async def _stop(app: faust.App, reason: str | None) -> None:
    """Stop the app; after `_STOP_SECONDS`, end the process without it.

    Faust waits for records in hand, and these may wait for the database. Ending without them is
    safe: the state is in memory, and what is not committed will be read again.
    """
    stopping = asyncio.create_task(app.stop())
    await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
    if not stopping.done():
        log.warning("trends.stop_timed_out", seconds=_STOP_SECONDS, reason=reason)
        os._exit(1 if reason else 0)


async def _wait_for_lock(lock: LeaderLock, stop: asyncio.Event, ready: Callable[[], None]) -> bool:
    """Wait for the lock; False when a signal came first."""
    standing_by = False
    while not stop.is_set():
        try:
            if await asyncio.to_thread(lock.acquire):
                return True
        except psycopg.Error as error:
            log.warning("trends.database_unavailable", reason=str(error))
        else:
            if not standing_by:
                log.info("trends.standing_by")
                ready()
                standing_by = True
        await _sleep(stop)
    return False


async def _wait_for_cluster(settings: Settings, stop: asyncio.Event) -> bool:
    """Wait for the cluster, without which Faust crashes; False when a signal came first."""
    while not stop.is_set():
        try:
            await cluster_id(settings)
        except (KafkaError, OSError) as error:
            log.warning("trends.cluster_unavailable", reason=str(error))
            await _sleep(stop)
        else:
            return True
    return False


async def _wait_for_end(app: faust.App, lock: LeaderLock, stop: asyncio.Event) -> str | None:
    """Wait until the stream ends; the reason, unless a signal asked for it."""
    state: Any = app
    while not stop.is_set():
        if state.should_stop or state.crashed:
            return f"the stream ended: {state.crash_reason!r}"
        try:
            if not await asyncio.to_thread(lock.acquire):
                return "another process took over"
        except psycopg.Error as error:
            log.warning("trends.database_unavailable", reason=str(error))
        await _sleep(stop)
    return None


async def _sleep(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_POLL_SECONDS):
            await stop.wait()
