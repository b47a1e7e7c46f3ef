"""The scheduler service's Celery app."""

from shared.celery import make_celery

celery = make_celery("scheduler")
