"""What the observables service does beside the stream of events."""

from typing import Any

from services.observables.attack.handlers import remap_assertions
from services.observables.reference.refresh import refresh
from services.observables.store import decay_job, service
from services.observables.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="observables.tasks.check_due", bind=True)
def check_due(_self: ServiceTask, limit: int = 5_000) -> dict[str, Any]:
    """Look again at scores that may have fallen below a threshold by now, or whose assertions have ended."""
    return {"status": "ok", **decay_job.check_due(database("observables"), limit)}


@celery.task(
    name="observables.tasks.refresh_reference", bind=True, time_limit=880, soft_time_limit=850
)
def refresh_reference(_self: ServiceTask) -> dict[str, Any]:
    """Fetch reference data that is older than a day; describe again what was described without it, map likewise."""
    settings, own = load_settings(), database("observables")
    mapped = remap_assertions(own)
    if settings.reference_data == "off":
        return {"status": "ok", "datasets": {}, "described": 0, "mapped": mapped}
    return {"status": "ok", **refresh(own, settings), "mapped": mapped}


@celery.task(name="observables.tasks.prune_runs", bind=True)
def prune_runs(_self: ServiceTask, days: int = 30) -> dict[str, Any]:
    """Forget the progress of feed runs that ended more than `days` ago; nothing depends on it any more."""
    return {"status": "ok", "pruned": service.prune_runs(database("observables"), days)}
