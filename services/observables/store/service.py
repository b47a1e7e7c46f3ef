"""Sources and feed runs as they are stored here."""

from typing import Any, Final
from uuid import UUID

from services.observables.lookup import repository as reads
from services.observables.store import repository
from shared.database import PLATFORM, Database

PATIENCE: Final = 15
"""Seconds that a query may take which may have to read every row."""


def sources(database: Database, tenant: str) -> list[dict[str, Any]]:
    """The sources the tenant can see, each with the number of observables it asserts now."""
    with database.transaction(tenant, PATIENCE) as session:
        return [dict(row._mapping) for row in reads.sources(session)]  # noqa: SLF001  # SQLAlchemy's public name


def run_progress(database: Database, tenant: str, run_id: UUID) -> dict[str, Any]:
    """How far a feed run came here: chunks and indicators received, observables new, changed, rejected."""
    with database.transaction(tenant) as session:
        return dict(reads.run_progress(session, run_id)._mapping)  # noqa: SLF001  # SQLAlchemy's public name


def prune_runs(database: Database, days: int) -> int:
    """Forget the progress of old runs; return how many chunks were forgotten."""
    with database.transaction(PLATFORM) as session:
        return repository.prune_runs(session, days)
