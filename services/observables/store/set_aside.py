"""Work on many rows in one transaction, of which one row must not spoil all others for ever.

If the transaction fails because of what a row holds, its rows are halved until the row stands
alone. That one is set aside: noted in `failed_row` with the reason, and logged.
"""

from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from services.observables.store.repository import upkeep
from shared.database import Database, blames_record
from shared.errors import SentinelIQError
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

RowWork = Callable[[Session, Sequence[str]], int]
"""Works on observables, by their ids, in a transaction of their tenant; returns a count."""


def apply_isolated(
    database: Database,
    tenant: str,
    ids: Sequence[str],
    name: str,
    work: RowWork,
    on_failure: Callable[[Session, str, int], None] | None = None,
) -> int:
    """Work on rows; those that it cannot be done on are set aside.

    Args:
        database: the service's.
        tenant: the owner of the rows.
        ids: of the observables.
        name: of the work, for the note.
        work: what is done, in one transaction or in several.
        on_failure: called with the id of a row that is set aside, and how often it was.

    Returns:
        The sum of what `work` returned.

    Raises:
        Exception: whatever says nothing about a row, such as a database that does not answer.
    """
    try:
        with database.transaction(tenant) as session:
            return work(session, ids)
    except Exception as error:
        if not _blames_rows(error):
            raise
        if len(ids) == 1:
            _set_aside(database, tenant, ids[0], name, error, on_failure)
            return 0
    middle = len(ids) // 2
    return sum(
        apply_isolated(database, tenant, half, name, work, on_failure)
        for half in (ids[:middle], ids[middle:])
    )


def _blames_rows(error: Exception) -> bool:
    """Whether rows are to blame, and neither the database nor the machine."""
    if isinstance(error, SentinelIQError):
        return not error.retryable
    return blames_record(error) and not isinstance(error, OSError | MemoryError)


def _set_aside(
    database: Database,
    tenant: str,
    identity: str,
    name: str,
    error: Exception,
    on_failure: Callable[[Session, str, int], None] | None,
) -> None:
    reason = f"{type(error).__name__}: {error}"[:500].replace("\0", "")
    with database.transaction(tenant) as session:
        failures = upkeep.note_failed_row(session, tenant, identity, name, reason)
        if on_failure is not None:
            on_failure(session, identity, failures)
    log.error(
        "row.set_aside",
        tenant=tenant,
        observable_id=identity,
        work=name,
        failures=failures,
        reason=reason,
        exc_info=error,
    )
