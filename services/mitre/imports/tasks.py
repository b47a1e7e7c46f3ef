"""The mitre service's background tasks."""

from typing import Any
from uuid import UUID

from services.mitre import NAME
from services.mitre.imports import service
from services.mitre.imports.execution import execute
from services.mitre.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="mitre.tasks.load_release", bind=True)
def load_release(_self: ServiceTask, import_id: str) -> dict[str, Any]:
    """Make an attempt at an import; one that is done or has a worker is skipped."""
    return execute(database(NAME), load_settings(), UUID(import_id)).as_dict()


@celery.task(name="mitre.tasks.refresh_attack", bind=True)
def refresh_attack(self: ServiceTask) -> dict[str, Any]:
    """Ask for a fresh bundle of every enabled source."""
    counts = service.refresh(database(NAME), load_settings(), self.actor)
    return {"status": "ok", "started": counts.started, "swept": counts.swept}
