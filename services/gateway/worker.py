"""The gateway's Celery app."""

from services.gateway import NAME
from shared.runtime.celery import make_celery

celery = make_celery(NAME, include=["services.gateway.retention.tasks"])
