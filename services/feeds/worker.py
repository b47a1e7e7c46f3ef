"""The feeds service's Celery app."""

from shared.runtime.celery import make_celery

celery = make_celery("feeds")
