"""The backfill's Celery task."""

from typing import Any

from services.observables.backfill.attack_ids import remap_assertions
from services.observables.backfill.contexts import redescribe
from services.observables.reference.service import refresh_datasets
from services.observables.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(
    name="observables.tasks.refresh_reference", bind=True, time_limit=880, soft_time_limit=850
)
def refresh_reference(_self: ServiceTask) -> dict[str, Any]:
    """Fetch reference data that is older than a day; bring stored observables up to date."""
    settings = load_settings()
    observables = database("observables")
    mapped = remap_assertions(observables)
    if settings.reference_data == "off":
        return {"status": "ok", "datasets": {}, "described": 0, "mapped": mapped}
    outcomes = refresh_datasets(observables, settings)
    described = redescribe(observables)
    return {"status": "ok", "datasets": outcomes, "described": described, "mapped": mapped}
