"""What time does to scores: those that are due are looked at again, and what fell below a threshold is announced."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from services.observables.store import repository, rescore
from shared.database import PLATFORM, Database
from shared.stix import bucket


def check_due(database: Database, limit: int = 5_000, seconds: float = 10.0) -> dict[str, int]:
    """Look at the scores that are due, the oldest first, `limit` together; what is left after some seconds waits.

    Returns:
        How many were looked at, and how many were news.
    """
    looked, news, ends = 0, 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        with database.transaction(PLATFORM) as session:
            due = repository.due(session, limit)
        together = _check_all(database, due)
        looked, news = looked + together[0], news + together[1]
        if sum(map(len, due.values())) < limit:
            break
    return {"looked_at": looked, "announced": news}


def _check_all(database: Database, due: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    looked, news = 0, 0
    for tenant, ids in due.items():
        by_bucket: dict[int, list[str]] = defaultdict(list)
        for identity in ids:
            by_bucket[bucket(identity)].append(identity)
        for number, together in sorted(by_bucket.items()):
            looked += len(together)
            news += _check(database, tenant, number, together)
    return looked, news


def _check(database: Database, tenant: str, number: int, ids: Sequence[str]) -> int:
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        repository.lock(session, [number])
        changes = rescore.rescore(session, tenant, ids, now)
        rescore.publish_changes(session, tenant, changes, "time")
    return len(changes)
