"""The platform's housekeeping, on the queue `default`."""

import asyncio
from typing import Any

from services.scheduler.reconciliation import service as reconciling
from services.scheduler.schedules import service
from services.scheduler.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings

__all__ = ["celery", "prune_fires", "reconcile_services"]


@celery.task(name="scheduler.tasks.reconcile_services", bind=True)
def reconcile_services(_self: ServiceTask) -> dict[str, Any]:
    """Have every other service enqueue again the work that its queue lost; a dead one does not stop the others."""
    return asyncio.run(reconciling.reconcile_services(load_settings()))


@celery.task(name="scheduler.tasks.prune_fires", bind=True)
def prune_fires(_self: ServiceTask, days: int = 30) -> dict[str, Any]:
    """Forget firings older than `days`, except those that are still to be sent."""
    return {"status": "ok", "pruned": service.prune_fires(database("scheduler"), days)}
