"""Celery tasks of stored observables."""

from dataclasses import asdict
from typing import Any

from services.observables import NAME
from services.observables.store import due_scores, service
from services.observables.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask


@celery.task(name="observables.tasks.check_due", bind=True)
def check_due(_self: ServiceTask, limit: int = 5_000) -> dict[str, Any]:
    """Compute scores again that may have lapsed, or whose assertions have ended."""
    return {"status": "ok", **asdict(due_scores.check_due(database(NAME), limit))}


@celery.task(name="observables.tasks.prune_runs", bind=True)
def prune_runs(_self: ServiceTask, days: int = 30) -> dict[str, Any]:
    """Delete the progress of feed runs that ended more than `days` ago; nothing depends on it."""
    return {"status": "ok", "pruned": service.prune_runs(database(NAME), days)}
