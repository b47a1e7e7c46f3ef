"""Celery tasks of pushes."""

from typing import Any
from uuid import UUID

from services.observables.pushes.pushing import push_collection as push
from services.observables.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="observables.tasks.push_collection", bind=True)
def push_collection(_self: ServiceTask, push_id: str) -> dict[str, Any]:
    """Send what a push's target does not have; one that has a worker is skipped."""
    return push(database("observables"), load_settings(), UUID(push_id))
