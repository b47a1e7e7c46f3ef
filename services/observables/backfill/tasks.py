"""The backfill's Celery task."""

from typing import Any, Final

from services.observables.backfill import model_change
from services.observables.backfill.attack_ids import remap_assertions
from services.observables.backfill.contexts import redescribe
from services.observables.reference.service import refresh_datasets
from services.observables.worker import celery
from shared.database import Database, database
from shared.runtime.celery import ServiceTask
from shared.runtime.sweeps import Sweep, run_sweep
from shared.settings import load_settings

_TIME_LIMIT: Final = 880


@celery.task(
    name="observables.tasks.refresh_reference",
    bind=True,
    time_limit=_TIME_LIMIT,
    soft_time_limit=_TIME_LIMIT - 30,
)
def refresh_reference(_self: ServiceTask) -> dict[str, Any]:
    """Fetch reference data that is older than a day; bring stored observables up to date.

    Two never run at once: a worker's other places are for other tasks.
    """
    result: dict[str, Any] = {"status": "failed"}
    work = Sweep(
        "reference-data", 0.0, lambda own: result.update(_refresh(own)), longest=_TIME_LIMIT
    )
    if not run_sweep(database("observables"), work):
        return {"status": "skipped"}
    return result


@celery.task(
    name="observables.tasks.apply_model",
    bind=True,
    time_limit=_TIME_LIMIT,
    soft_time_limit=_TIME_LIMIT - 30,
)
def apply_model(_self: ServiceTask) -> dict[str, Any]:
    """Compute stored scores again with the present model of scores, without single events."""
    result: dict[str, Any] = {"status": "failed"}
    work = Sweep(
        "scoring-model",
        0.0,
        lambda own: result.update({"status": "ok", "finished": model_change.apply_model(own)}),
        longest=_TIME_LIMIT,
    )
    if not run_sweep(database("observables"), work):
        return {"status": "skipped"}
    return result


def _refresh(observables: Database) -> dict[str, Any]:
    settings = load_settings()
    mapped = remap_assertions(observables)
    if settings.reference_data == "off":
        return {"status": "ok", "datasets": {}, "described": 0, "mapped": mapped}
    outcomes = refresh_datasets(observables, settings)
    # While scores follow another model, each change would be published: that describes as well.
    described = 0 if model_change.is_unfinished(observables) else redescribe(observables)
    return {"status": "ok", "datasets": outcomes, "described": described, "mapped": mapped}
