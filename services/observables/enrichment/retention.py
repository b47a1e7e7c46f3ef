"""What remote enrichment forgets."""

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.queues.repository import jobs
from services.observables.enrichment.requests import repository as requests
from shared.database import PLATFORM, Database


def prune(database: Database, days: int) -> dict[str, int]:
    """Forget questions that ended, and what providers sent, more than some days ago; how many of each."""
    with database.transaction(PLATFORM) as session:
        forgotten = {"jobs": jobs.prune(session, days), "raw": answers.prune_raw(session, days)}
        requests.prune(session, days)
    return forgotten
