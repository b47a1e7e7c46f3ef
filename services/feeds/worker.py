"""The feeds service's Celery app."""

from services.feeds import NAME
from shared.runtime.celery import make_celery

celery = make_celery(NAME, include=["services.feeds.retention.tasks", "services.feeds.runs.tasks"])
