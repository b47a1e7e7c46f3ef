"""The database's clock, by which everything that is stored is due.

Clocks of machines differ. A process that compared its own with stored times would ask a provider
too early, or start with a full bucket.
"""

import time
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session


def database_now(session: Session) -> datetime:
    """Return the database's time."""
    moment: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return moment


class DatabaseClock:
    """The database's time between two transactions, on the process's monotonic clock.

    Until it is set it shows the process's time.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def set(self, session: Session) -> None:
        """Ask the database for the time."""
        self._offset = database_now(session).timestamp() - time.monotonic()

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.monotonic() + self._offset

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)
