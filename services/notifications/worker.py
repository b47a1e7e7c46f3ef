"""The Celery app of notifications."""

from services.notifications import NAME
from shared.runtime.celery import make_celery

celery = make_celery(
    NAME,
    include=["services.notifications.deliveries.tasks", "services.notifications.retention.tasks"],
)
