"""The Celery app of notifications."""

from shared.runtime.celery import make_celery

celery = make_celery("notifications")
