"""Long lists leave a worker free: of this machine's feeds workers, all but one may be busy with a bulk run."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.feeds.runs.lease import Postponed
from services.feeds.subscriptions import repository
from shared.database import Database
from shared.runtime.celery import worker_concurrency
from shared.settings import Settings

BULK_BYTES: Final = 512 * 1024
"""Size of a stored payload from which a run counts as bulk: some hundred thousand lines."""
_LATER: Final = 2.0


@contextmanager
def slot(database: Database, settings: Settings, size: int) -> Iterator[None]:
    """Hold a place among the bulk runs of this machine; small runs need none.

    A place is a lock of a database connection: a worker that is killed gives it back.

    Args:
        database: the service's.
        settings: tell how many feeds workers there are.
        size: bytes of the stored payload.

    Raises:
        Postponed: all places are taken.
    """
    if size < BULK_BYTES:
        yield
        return
    places = max(1, worker_concurrency("feeds", settings) - 1)
    with database.connect() as connection:
        name = f"sentineliq.feeds.bulk.{socket.gethostname()}"
        if not any(repository.lock_place(connection, name, place) for place in range(places)):
            raise Postponed(_LATER, "other long lists are being read; short ones go first")
        yield
