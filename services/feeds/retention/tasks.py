"""The task that deletes rows whose retention is over."""

from typing import Any

from services.feeds import NAME
from services.feeds.retention.policies import POLICIES
from services.feeds.runs.service import prune_files
from services.feeds.worker import celery
from shared.database import database
from shared.retention import prune
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="feeds.tasks.prune_tables", bind=True)
def prune_tables(_self: ServiceTask) -> dict[str, Any]:
    """Delete the rows of all tables whose retention is over, batch by batch."""
    return prune(database(NAME), load_settings(), POLICIES).as_dict()


@celery.task(name="feeds.tasks.prune_feeds", bind=True)
def prune_feeds(_self: ServiceTask, days: int | None = None) -> dict[str, Any]:
    """Remove old runs, payloads beyond their retention, and snapshots that were replaced."""
    report = prune(database(NAME), load_settings(), POLICIES, names=["run"], days=days)
    files = prune_files(database(NAME), load_settings())
    counts = {"payloads": files.payloads, "snapshots": files.snapshots}
    return report.as_dict() | {"runs": report.pruned["run"]} | counts
