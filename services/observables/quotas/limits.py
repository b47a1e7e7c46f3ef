"""How much of the observables service a tenant may use."""

from typing import Final

from services.observables.quotas import repository
from shared.quotas import Quota

SIGHTINGS: Final = Quota("sightings-per-day", 1_000_000, "sightings a day", 86_400)
BULK_REQUESTS: Final = Quota(
    "bulk-requests", 20, "open requests of enrichment for many values", count=repository.count_bulk
)

QUOTAS: Final = (SIGHTINGS, BULK_REQUESTS)
