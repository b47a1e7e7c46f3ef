"""The Celery app of notifications."""

from shared.celery import make_celery

celery = make_celery("notifications")
