"""The task that measures growth, on the queue `default`."""

from typing import Any

from services.scheduler import NAME
from services.scheduler.growth import service
from services.scheduler.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="scheduler.tasks.measure_growth", bind=True)
def measure_growth(_self: ServiceTask) -> dict[str, Any]:
    """Store how much the disk, the database and the data folder hold now."""
    sizes = service.measure_growth(database(NAME), load_settings())
    return {"status": "ok", **{size.part: size.bytes for size in sizes}}
