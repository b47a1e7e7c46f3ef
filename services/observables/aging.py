"""What time does to scores: those that are due are looked at again, and what fell below a threshold is announced."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.observables import context, ingest, repository
from services.observables.ingest import Scored
from services.observables.service import announcements
from shared.database import PLATFORM, Database
from shared.events.observables import Change
from shared.kafka.outbox import publish
from shared.stix import bucket

_NOBODY = UUID(int=0)
_SOON = timedelta(minutes=1)


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
            by_bucket[bucket(UUID(identity).bytes)].append(identity)
        for number, together in sorted(by_bucket.items()):
            looked += len(together)
            news += _check(database, tenant, number, together)
    return {"looked_at": looked, "announced": news}


def _check(database: Database, tenant: str, number: int, ids: Sequence[str]) -> int:
    now = datetime.now(UTC)
    changes: list[Change] = []
    scored: list[tuple[str, Scored]] = []
    with database.transaction(tenant) as session:
        repository.lock(session, [number])
        for identity, one in repository.known(session, tenant, ids, context.effects).items():
            active = [stored for stored in one.assertions.values() if stored.active(now)]
            fresh = ingest.evaluate(one.type, active, one.voices, one.effects, now)
            lapsed = len(active) < sum(not stored.retracted for stored in one.assertions.values())
            if ingest.is_news(one.score, fresh.score) or (lapsed and not active and one.score):
                changes.append(ingest.changed(identity, one, fresh.score, active))
            else:
                fresh = fresh._replace(score=one.score)  # what was announced stays what was announced
            if fresh.due is not None and fresh.due <= now:
                fresh = fresh._replace(due=now + _SOON)
            scored.append((identity, fresh))
        repository.rescore(session, tenant, scored, now)
        publish(session, announcements({number: changes}, tenant, _NOBODY, "time"))
    return len(changes)
