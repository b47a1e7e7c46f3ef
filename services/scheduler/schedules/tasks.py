"""Tasks of schedules, on the queue `default`."""

from typing import Any

from services.scheduler import NAME
from services.scheduler.schedules import service
from services.scheduler.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask


@celery.task(name="scheduler.tasks.prune_fires", bind=True)
def prune_fires(_self: ServiceTask, days: int = 30) -> dict[str, Any]:
    """Delete firings that are older than `days` and not pending."""
    return {"status": "ok", "pruned": service.prune_fires(database(NAME), days)}
