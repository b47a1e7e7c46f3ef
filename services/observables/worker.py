"""The observables service's Celery app."""

from services.observables import NAME
from shared.runtime.celery import make_celery

celery = make_celery(
    NAME,
    include=[
        "services.observables.store.tasks",
        "services.observables.backfill.tasks",
        "services.observables.enrichment.tasks",
        "services.observables.evidence.tasks",
        "services.observables.pushes.tasks",
        "services.observables.retention.tasks",
    ],
)
