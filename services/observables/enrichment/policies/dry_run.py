"""Policies on the past: forecast what one would have asked, or ask it now."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.policies import selection
from services.observables.enrichment.policies.models import Policy
from services.observables.enrichment.policies.schemas import PolicyForecast
from services.observables.enrichment.policies.selection import Candidate, Selection
from services.observables.enrichment.policies.triggers import enqueue_candidates
from services.observables.enrichment.queues.repository import jobs
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.settings.access import Access
from services.observables.enrichment.settings.service import accesses_of
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, Unavailable
from shared.events.observables import CHANGED
from shared.kafka.history import read_since
from shared.kafka.offsets import unsigned_until
from shared.kafka.outbox import audit
from shared.settings import Settings
from shared.timestamps import parse_timestamp
from shared.turns import TurnGate

MOST_DAYS: Final = 7
"""The log keeps changes for so many days."""

_THREADS: Final = ThreadPoolExecutor(16, "dry-run")
_READERS: Final = TurnGate(2)
_QUEUE_SECONDS: Final = 60.0
_EXAMPLES: Final = 20
_BATCH: Final = 20_000
_MOST_CANDIDATES: Final = 500_000


class PastMatches(msgspec.Struct):
    """A policy's matches in the changes of some days.

    Attributes:
        changes: how many changes were read.
        candidates: in the order of their events.
    """

    days: int
    changes: int
    candidates: list[Candidate]
    accesses: dict[str, Access]


async def match_past(
    database: Database, environment: Settings, tenant: str, policy: Policy, days: int
) -> PastMatches:
    """Match a policy against the changes of the last days, in a thread of its own.

    Seven days are many events: the loop answers other requests meanwhile, and few threads read.
    Tenants take turns at these.

    Raises:
        Unavailable: the log does not answer, or others are reading.
        InvalidInput: the policy matches too much.
    """

    def match() -> PastMatches:
        if not _READERS.acquire(tenant, _QUEUE_SECONDS):
            raise Unavailable("Other dry runs are under way: try again in a minute.")
        try:
            past = PastMatches(days, 0, [], _accesses(database, tenant))
            with database.transaction(PLATFORM) as session:
                unsigned = unsigned_until(session)
            return asyncio.run(_match_past(past, environment, tenant, policy, unsigned))
        finally:
            _READERS.release(tenant)

    return await asyncio.get_running_loop().run_in_executor(_THREADS, match)


async def _match_past(
    past: PastMatches, environment: Settings, tenant: str, policy: Policy, unsigned: int
) -> PastMatches:
    since = datetime.now(UTC) - timedelta(days=past.days)
    async for event in _changes(environment, tenant, since, unsigned):
        data = event.data
        at = parse_timestamp(event.time)
        past.changes += len(data.changes)
        past.candidates += selection.candidates(
            [policy], data.source, data.changes, past.accesses, at
        )
        if len(past.candidates) > _MOST_CANDIDATES:
            raise InvalidInput(
                f"The policy matches more than {_MOST_CANDIDATES:,} queries in {past.days} days:"
                " narrow it down."
            )
    past.candidates.sort(key=lambda candidate: candidate.at)
    return past


def _accesses(database: Database, tenant: str) -> dict[str, Access]:
    with database.transaction(tenant) as session:
        return accesses_of(session, tenant)


async def _changes(
    environment: Settings, tenant: str, since: datetime, unsigned: int
) -> AsyncIterator[Any]:
    async for event in read_since(environment, CHANGED, since, tenant, unsigned):
        if event.time:
            yield event


def forecast(database: Database, tenant: str, past: PastMatches) -> PolicyForecast:
    """The queries that the policy would have made: the same selection as for live events."""
    with database.transaction(tenant) as session:
        selected = _select_as_of_then(session, tenant, past)
    by_enricher: dict[str, int] = {}
    by_day: dict[str, int] = {}
    for candidate, _ in selected.requests:
        enricher = candidate.pair[1]
        day = candidate.at.date().isoformat()
        by_enricher[enricher] = by_enricher.get(enricher, 0) + 1
        by_day[day] = by_day.get(day, 0) + 1
    examples = [
        (candidate.value, candidate.pair[1]) for candidate, _ in selected.requests[:_EXAMPLES]
    ]
    return PolicyForecast(
        days=past.days,
        changes=past.changes,
        calls=len(selected.requests),
        by_enricher=by_enricher,
        by_day=by_day,
        over_budget=len(selected.over_budget),
        refused=selected.refused,
        examples=examples,
    )


def _select_as_of_then(session: Session, tenant: str, past: PastMatches) -> Selection:
    """Select as of then: later answers do not count, and the whole budget is left."""
    ids = sorted({candidate.pair[0] for candidate in past.candidates})
    cached = answers.cached(session, tenant, ids, datetime.now(UTC))
    open_jobs = jobs.open_jobs(session, tenant, ids)
    states = answers.disclosure_states(session, tenant, ids)

    def is_answered(candidate: Candidate) -> bool:
        if candidate.pair in open_jobs:
            return True
        answer = cached.get(candidate.pair)
        return answer is not None and answer.obtained_at <= candidate.at

    def budget_left(policy: Policy, _day: date) -> int | None:
        return policy.budget_left(0)

    return selection.select(past.candidates, states, past.accesses, is_answered, budget_left)


def apply(database: Database, tenant: str, actor: str, policy: UUID, past: PastMatches) -> int:
    """Store now the jobs that the policy would have stored; how many."""
    stored = 0
    with database.transaction(tenant) as session:
        for start in range(0, len(past.candidates), _BATCH):
            batch = past.candidates[start : start + _BATCH]
            stored += len(enqueue_candidates(session, tenant, batch, past.accesses).requests)
        details = {"days": str(past.days), "queries": str(stored)}
        audit(session, SERVICE, tenant, actor, "policies.apply", policy, **details)
        wake_after_commit(session)
    return stored
