"""What the mitre service does in the background."""

from typing import Any
from uuid import UUID

from services.mitre.imports import loader
from services.mitre.releases import service
from services.mitre.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings

__all__ = ["celery", "load_release", "refresh_attack"]


@celery.task(name="mitre.tasks.load_release", bind=True)
def load_release(_self: ServiceTask, load_id: str) -> dict[str, Any]:
    """Fetch, read and store the bundle of one load; a load that is done or in good hands is skipped."""
    return loader.execute(database("mitre"), load_settings(), UUID(load_id))


@celery.task(name="mitre.tasks.refresh_attack", bind=True)
def refresh_attack(self: ServiceTask) -> dict[str, Any]:
    """Ask for a fresh bundle of every enabled source."""
    return service.refresh(database("mitre"), load_settings(), self.actor)
