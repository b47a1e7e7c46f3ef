"""The observables service's Celery app."""

from typing import Final

from shared.runtime.celery import make_celery

SERVICE: Final = "observables"

celery = make_celery(SERVICE)
