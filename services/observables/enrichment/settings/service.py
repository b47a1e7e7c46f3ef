"""Access of tenants, read from their settings."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.enrichment.settings import repository
from services.observables.enrichment.settings.access import Access, accesses
from services.observables.enrichment.settings.keys import PURPOSE, places_of_key
from services.observables.providers.registry import enrichers
from shared.crypto import Sealer
from shared.database import Database
from shared.keys import keys_of
from shared.sealed_rows import reseal_rows
from shared.settings import load_settings


def reseal_keys(database: Database) -> int:
    """Seal providers' keys under the present key, if a former one has sealed them; how many."""
    settings = load_settings()
    sealer = Sealer(keys_of(settings), PURPOSE)
    installed = enrichers()

    def places(row: sa.Row[Any]) -> tuple[str, ...]:
        urls = [settings.enricher_urls.get(row.enricher)]
        if row.enricher in installed:
            urls.append(installed[row.enricher].base_url)
        return places_of_key(row.tenant, row.key_id, filter(None, urls))

    return reseal_rows(database, sealer, repository.sealed_keys(places))


def accesses_of(session: Session, tenant: str) -> dict[str, Access]:
    """A tenant's access to all installed enrichers, by name."""
    return accesses(tenant, repository.by_tenant(session, tenant), enrichers())
