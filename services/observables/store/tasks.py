"""What the observables service does beside the stream of events."""

from typing import Any

from services.observables.store import decay_job, service
from services.observables.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask


@celery.task(name="observables.tasks.check_due", bind=True)
def check_due(_self: ServiceTask, limit: int = 5_000) -> dict[str, Any]:
    """Look again at scores that may have fallen below a threshold by now, or whose assertions have ended."""
    return {"status": "ok", **decay_job.check_due(database("observables"), limit)}


@celery.task(name="observables.tasks.prune_runs", bind=True)
def prune_runs(_self: ServiceTask, days: int = 30) -> dict[str, Any]:
    """Forget the progress of feed runs that ended more than `days` ago; nothing depends on it any more."""
    return {"status": "ok", "pruned": service.prune_runs(database("observables"), days)}
