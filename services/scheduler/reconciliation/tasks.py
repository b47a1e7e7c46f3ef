"""Tasks of reconciliation, on the queue `default`."""

import asyncio
from typing import Any

from services.scheduler.reconciliation import service
from services.scheduler.worker import celery
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="scheduler.tasks.reconcile_services", bind=True)
def reconcile_services(_self: ServiceTask) -> dict[str, Any]:
    """Let every other service enqueue again the work that its queue lost."""
    result = asyncio.run(service.reconcile_services(load_settings()))
    return {"status": result.status, "services": result.services}
