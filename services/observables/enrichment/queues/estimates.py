"""When a question will have been answered: what is ahead of it in its lane, at the pace that the lane has."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.provider_queues import limiter_of
from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.enrichment.settings import repository
from services.observables.enrichment.settings.access import limits_of
from services.observables.providers.registry import enrichers
from shared.database import PLATFORM, set_tenant


class State(NamedTuple):
    """A lane as it is now.

    Attributes:
        owner: whose key it is; `public` where there is no key.
    """

    owner: str
    limiter: RateLimiter
    plan: QuotaLimits


def states(session: Session, ids: Sequence[UUID]) -> dict[UUID, State]:
    """Lanes by id, those of enrichers that are installed."""
    found = {}
    for row in provider_queues.states(session, ids):
        enricher = enrichers().get(row.enricher)
        if enricher is not None:
            plan = limits_of(enricher, repository.of_owner(session, row.tenant, row.enricher))
            found[row.id] = State(row.tenant, limiter_of(row.meter), plan)
    return found


def estimates(session: Session, tenant: str, waiting: Sequence[Any]) -> dict[UUID, datetime]:
    """When jobs of a tenant that wait will probably have been answered, by job.

    The first of each lane is placed among all that wait there, other tenants' too; the others follow it.
    """
    by_lane: dict[UUID, list[Any]] = {}
    for job in waiting:
        by_lane.setdefault(job.lane, []).append(job)
    found, now = {}, time.time()
    # How many wait is no secret; whose they are and what they ask is.
    set_tenant(session, SERVICE, PLATFORM)
    for lane, state in states(session, list(by_lane)).items():
        listed = sorted(by_lane[lane], key=lambda job: (job.priority, job.next_at, job.id))
        queue = jobs.queue(session, listed[0])
        for place, job in enumerate(listed):
            at = state.limiter.finish_at(state.plan, now, queue.before(place))
            found[job.id] = datetime.fromtimestamp(at, UTC)
    set_tenant(session, SERVICE, tenant)
    return found
