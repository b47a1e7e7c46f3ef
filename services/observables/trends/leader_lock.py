"""The lock of the one process that reads; the others stand by."""

import psycopg

from services.observables.trends import repository
from shared.database import Database
from shared.postgres.connection import closing_on_error


class LeaderLock:
    """An advisory lock in the database: the server releases it when its connection ends.

    The server ends a connection that is silent for ten seconds, so that a frozen process loses the
    lock: call `acquire` more often than that.

    Args:
        database: the observables service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection | None = None

    def acquire(self) -> bool:
        """Take the lock, or keep it; False when another process has it.

        Raises:
            psycopg.Error: the database does not answer.
        """
        if self._connection is not None:
            try:
                repository.check_connection(self._connection)
            except psycopg.Error:
                self.release()
            else:
                return True
        connection = self._database.connect()
        with closing_on_error(connection):
            if repository.try_leader_lock(connection):
                self._connection = connection
                return True
        connection.close()
        return False

    def release(self) -> None:
        """Let another process read."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
