"""What remote enrichment forgets."""

from services.observables.enrichment.repository import answers, jobs
from shared.database import PLATFORM, Database


def prune(database: Database, days: int) -> dict[str, int]:
    """Forget questions that ended, and what providers sent, more than some days ago; how many of each."""
    with database.transaction(PLATFORM) as session:
        return {"jobs": jobs.prune(session, days), "raw": answers.prune_raw(session, days)}
