"""Access of tenants, read from their settings."""

from sqlalchemy.orm import Session

from services.observables.enrichment.settings import repository
from services.observables.enrichment.settings.access import Access, accesses
from services.observables.providers.registry import enrichers


def accesses_of(session: Session, tenant: str) -> dict[str, Access]:
    """A tenant's access to all installed enrichers, by name."""
    return accesses(tenant, repository.by_tenant(session, tenant), enrichers())
