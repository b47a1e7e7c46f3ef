"""Heartbeats of a session that holds a lock: PostgreSQL ends one that is silent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from shared.postgres.connection import WatchedConnection
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_EVERY_SECONDS: Final = 3.0


@contextmanager
def heartbeats(connection: WatchedConnection) -> Iterator[None]:
    """Show PostgreSQL, while a block runs, that this process is not frozen.

    A lock that is lost with its session is logged; the block goes on.

    Args:
        connection: in autocommit mode; the block does not use it.
    """
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(_EVERY_SECONDS):
            try:
                connection.execute("SELECT 1")
            except psycopg.Error as error:
                log.warning("lock.lost", reason=str(error))
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
