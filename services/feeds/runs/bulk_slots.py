"""Long lists leave a worker free: of a machine's feeds workers, all but one may have a bulk run."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.feeds import NAME
from services.feeds.runs.leased_run import Postponed
from services.feeds.runs.repository import turns
from shared.database import Database
from shared.postgres.heartbeat import heartbeats
from shared.runtime.celery import worker_concurrency
from shared.settings import Settings

BULK_BYTES: Final = 512 * 1024
"""Size of a stored payload from which a run counts as bulk: some hundred thousand lines."""
_RETRY_SECONDS: Final = 2.0


@contextmanager
def bulk_slot(database: Database, settings: Settings, size: int) -> Iterator[None]:
    """Hold a slot among the bulk runs of this machine; small runs need none.

    A slot is a lock of a database connection: a worker that is killed gives it back, and PostgreSQL
    takes it from one that is frozen.

    Args:
        database: the service's.
        settings: tell how many feeds workers there are.
        size: bytes of the stored payload.

    Raises:
        Postponed: all slots are taken.
    """
    if size < BULK_BYTES:
        yield
        return
    slots = max(1, worker_concurrency(NAME, settings) - 1)
    name = f"sentineliq.feeds.bulk.{socket.gethostname()}"
    with database.connect() as connection:
        if not any(turns.lock_slot(connection, name, slot) for slot in range(slots)):
            raise Postponed(_RETRY_SECONDS, "other long lists are being read; short ones go first")
        with heartbeats(connection):
            yield
