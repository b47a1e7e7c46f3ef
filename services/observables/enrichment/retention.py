"""Retention: jobs, requests and raw answers are deleted some time after they end."""

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.queues.repository import jobs
from services.observables.enrichment.requests import repository as requests
from shared.database import PLATFORM, Database


def prune(database: Database, days: int) -> dict[str, int]:
    """Delete jobs and raw answers that ended more than `days` ago; the number of each."""
    with database.transaction(PLATFORM) as session:
        deleted = {"jobs": jobs.prune(session, days), "raw": answers.prune_raw(session, days)}
        requests.prune(session, days)
    return deleted
