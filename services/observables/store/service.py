"""Sources and feed runs as they are stored here."""

from typing import Final
from uuid import UUID

from services.observables.store.repository import upkeep
from services.observables.store.repository.upkeep import RunProgress, SourceRow
from shared.database import Database

PATIENCE: Final = 15
"""Seconds that a query may take which may have to read every row."""


def sources(database: Database, tenant: str) -> list[SourceRow]:
    """The sources that the tenant sees, each with the number of observables that it asserts."""
    with database.transaction(tenant, PATIENCE) as session:
        return upkeep.sources(session)


def run_progress(database: Database, tenant: str, run_id: UUID) -> RunProgress:
    """How far a feed run came here."""
    with database.transaction(tenant) as session:
        return upkeep.run_progress(session, run_id)
