"""The scheduler service's Celery app."""

from services.scheduler import NAME
from shared.runtime.celery import make_celery

celery = make_celery(
    NAME,
    include=["services.scheduler.growth.tasks", "services.scheduler.retention.tasks"],
)
