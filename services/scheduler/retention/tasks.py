"""The task that deletes rows whose retention is over."""

from typing import Any

from services.scheduler import NAME
from services.scheduler.retention.policies import POLICIES
from services.scheduler.worker import celery
from shared.database import database
from shared.retention import prune
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="scheduler.tasks.prune_tables", bind=True)
def prune_tables(_self: ServiceTask) -> dict[str, Any]:
    """Delete the rows of all tables whose retention is over, batch by batch."""
    return prune(database(NAME), load_settings(), POLICIES).as_dict()


@celery.task(name="scheduler.tasks.prune_fires", bind=True)
def prune_fires(_self: ServiceTask, days: int | None = None) -> dict[str, Any]:
    """Delete firings that are older than `days` and not pending; `prune_tables` does so as well."""
    report = prune(database(NAME), load_settings(), POLICIES, names=["fire"], days=days)
    return report.as_dict() | {"pruned": report.pruned["fire"]}
