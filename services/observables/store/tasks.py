"""Celery tasks of stored observables."""

from dataclasses import asdict
from typing import Any

from services.observables import NAME
from services.observables.store import due_scores
from services.observables.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask


@celery.task(name="observables.tasks.check_due", bind=True)
def check_due(_self: ServiceTask, limit: int = 5_000) -> dict[str, Any]:
    """Compute scores again that may have lapsed, or whose assertions have ended."""
    return {"status": "ok", **asdict(due_scores.check_due(database(NAME), limit))}
