"""Celery tasks of remote enrichment."""

from typing import Any

from celery import signals

from services.observables.enrichment.execution.worker import EnrichmentWorker
from services.observables.enrichment.queues.wakeup import wake
from services.observables.providers.registry import enrichers
from services.observables.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@signals.worker_ready.connect
def _resume(**_: object) -> None:
    """Resume at once what a lost worker left behind, without waiting for the sweep."""
    wake()


@celery.task(name="observables.tasks.ask_pending", bind=True)
def ask_pending(self: ServiceTask) -> dict[str, Any]:
    """Send the queries that are due, within quotas; wake another worker if some are left."""
    summary = EnrichmentWorker(database("observables"), load_settings(), enrichers()).run()
    if summary.more:
        wake(self.actor)
    return {
        "status": "ok",
        "answered": summary.answered,
        "ended": summary.ended,
        "again": summary.again,
    }
