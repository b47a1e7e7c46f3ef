"""What time does to scores: those that are due are looked at again, and what fell below a threshold is announced."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from services.observables import repository, rescoring
from shared.database import PLATFORM, Database
from shared.stix import bucket


def check_due(database: Database, limit: int = 5_000) -> dict[str, int]:
    """Look at the scores that are due, the oldest first.

    Returns:
        How many were looked at, and how many were news.
    """
    with database.transaction(PLATFORM) as session:
        due = repository.due(session, limit)
    looked, news = 0, 0
    for tenant, ids in due.items():
        by_bucket: dict[int, list[str]] = defaultdict(list)
        for identity in ids:
            by_bucket[bucket(identity)].append(identity)
        for number, together in sorted(by_bucket.items()):
            looked += len(together)
            news += _check(database, tenant, number, together)
    return {"looked_at": looked, "announced": news}


def _check(database: Database, tenant: str, number: int, ids: Sequence[str]) -> int:
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        repository.lock(session, [number])
        changes = rescoring.look_again(session, tenant, ids, now)
        rescoring.announce(session, tenant, changes, "time")
    return len(changes)
