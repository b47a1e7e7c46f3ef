"""The mitre service's Celery app."""

from services.mitre import NAME
from shared.runtime.celery import make_celery

celery = make_celery(
    NAME, include=["services.mitre.imports.tasks", "services.mitre.retention.tasks"]
)
