"""The task that deletes rows whose retention is over."""

from typing import Any, Final

from services.observables import NAME
from services.observables.retention.policies import POLICIES
from services.observables.worker import celery
from shared.database import database
from shared.retention import prune
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings

_ENRICHMENT: Final = ("enrichment_job", "enrichment_request", "enrichment.raw")


@celery.task(name="observables.tasks.prune_tables", bind=True)
def prune_tables(_self: ServiceTask) -> dict[str, Any]:
    """Delete the rows of all tables whose retention is over, batch by batch."""
    return prune(database(NAME), load_settings(), POLICIES).as_dict()


@celery.task(name="observables.tasks.prune_runs", bind=True)
def prune_runs(_self: ServiceTask, days: int | None = None) -> dict[str, Any]:
    """Delete the progress of feed runs older than `days`; `prune_tables` does so as well."""
    report = prune(database(NAME), load_settings(), POLICIES, names=["run_chunk"], days=days)
    return report.as_dict() | {"pruned": report.pruned["run_chunk"]}


@celery.task(name="observables.tasks.prune_enrichment", bind=True)
def prune_enrichment(_self: ServiceTask, days: int | None = None) -> dict[str, Any]:
    """Delete jobs and raw answers older than `days`; `prune_tables` does so as well."""
    report = prune(database(NAME), load_settings(), POLICIES, names=_ENRICHMENT, days=days)
    counts = {"jobs": report.pruned["enrichment_job"], "raw": report.pruned["enrichment.raw"]}
    return report.as_dict() | counts
