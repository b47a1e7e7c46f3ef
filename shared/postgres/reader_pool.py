"""A pool of connections for short reads: opened when they are needed, by the thread that reads."""

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from shared.postgres.connection import WatchedConnection

_LONGEST_AGE: Final = 1800.0


class ReaderPoolTimeout(psycopg.OperationalError):
    """All connections of the pool were in use for too long."""


class ReaderPool:
    """Lends connections; the one that was used last goes first.

    Args:
        connect: opens a connection.
        size: the number of connections.
        patience: seconds that a caller waits for one.
    """

    def __init__(
        self, connect: Callable[[], WatchedConnection], size: int, patience: float
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._slots = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[tuple[WatchedConnection, float]] = []
        self._is_closed = False

    @contextmanager
    def connection(self) -> Iterator[WatchedConnection]:
        """Lend a connection to a block.

        Raises:
            ReaderPoolTimeout: none became free in time.
            psycopg.OperationalError: no server can be reached.
        """
        if not self._slots.acquire(timeout=self._patience):
            raise ReaderPoolTimeout("All connections for reading are in use.")
        try:
            connection, opened_at = self._take()
            try:
                yield connection
            finally:
                self._put_back(connection, opened_at)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        with self._lock:
            self._is_closed = True
            idle = self._idle
            self._idle = []
        for connection, _ in idle:
            connection.close()

    def _take(self) -> tuple[WatchedConnection, float]:
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection, opened_at = self._idle.pop()
            if time.monotonic() - opened_at < _LONGEST_AGE and not _has_news(connection):
                return connection, opened_at
            connection.close()
        return self._connect(), time.monotonic()

    def _put_back(self, connection: WatchedConnection, opened_at: float) -> None:
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            connection.rollback()
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
        with self._lock:
            if not connection.closed and not self._is_closed:
                self._idle.append((connection, opened_at))
                return
        connection.close()


def _has_news(connection: WatchedConnection) -> bool:
    """Whether an idle connection can be read from: its server has ended it."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
