"""Which reference data there is, and how old it is."""

from typing import Any, Final

from services.observables.reference import repository
from services.observables.reference.datasets import DATASETS
from shared.database import Database

ATTACK: Final = (
    "attack",
    "MITRE ATT&CK: techniques, and the software and groups that use them",
    "MITRE ATT&CK terms of use",
)
"""The index of ATT&CK, which is kept like a dataset but is built from events."""


def overview(database: Database, tenant: str) -> list[dict[str, Any]]:
    """Every dataset, also those that have not been fetched yet."""
    with database.transaction(tenant) as session:
        rows = {row.name: row._mapping for row in repository.overview(session)}  # noqa: SLF001
    absent = dict.fromkeys(("origin", "bytes", "obtained_at", "checked_at", "error"))
    listed = [*((dataset.name, dataset.title, dataset.licence) for dataset in DATASETS), ATTACK]
    return [
        {**absent, **rows.get(name, {}), "name": name, "title": title, "licence": licence}
        for name, title, licence in listed
    ]
