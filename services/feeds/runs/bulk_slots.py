"""Long lists leave a worker free: of a machine's feeds workers, all but one may have a bulk run.

Where several tenants have feeds, a tenant leaves one of these slots to the others.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from services.feeds import NAME
from services.feeds.runs.leased_run import LeasedRun, Postponed
from services.feeds.runs.repository import turns
from services.feeds.subscriptions.service import has_many_tenants
from shared.database import PLATFORM
from shared.postgres.heartbeat import heartbeats
from shared.runtime.celery import worker_concurrency
from shared.settings import Settings

BULK_BYTES: Final = 512 * 1024
"""Size of a stored payload from which a run counts as bulk: some hundred thousand lines."""
_RETRY_SECONDS: Final = 2.0


@contextmanager
def bulk_slot(run: LeasedRun, settings: Settings, size: int) -> Iterator[None]:
    """Hold a slot among the bulk runs of this machine; small runs need none.

    A slot is a lock of a database connection: a worker that is killed gives it back, and PostgreSQL
    takes it from one that is frozen.

    Args:
        run: that needs it.
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
    with run.database.transaction(PLATFORM) as session:
        is_shared = has_many_tenants(session)
    own_slots = max(1, slots - 1) if is_shared else slots
    with run.database.connect() as connection:
        is_free = _lock_any(connection, f"{name}.{run.claim.tenant}", own_slots)
        if not is_free or not _lock_any(connection, name, slots):
            raise Postponed(_RETRY_SECONDS, "other long lists are being read; short ones go first")
        with heartbeats(connection):
            yield


def _lock_any(connection: psycopg.Connection, name: str, slots: int) -> bool:
    return any(turns.lock_slot(connection, name, slot) for slot in range(slots))
