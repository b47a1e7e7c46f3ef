"""The mitre service's Celery app."""

from shared.celery import make_celery

celery = make_celery("mitre")
