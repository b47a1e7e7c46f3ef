"""Estimates of when waiting jobs finish: the jobs before them, at the pace of their queue."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.queues.models import JobRow
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.enrichment.settings import repository as settings
from services.observables.enrichment.settings.access import limits_of
from services.observables.providers.registry import enrichers
from shared.clock import database_now
from shared.database import PLATFORM, set_tenant


class QueueState(NamedTuple):
    """A queue as it is now.

    Attributes:
        owner: of its key; `public` where there is no key.
    """

    owner: str
    limiter: RateLimiter
    limits: QuotaLimits


def queue_states(session: Session, ids: Sequence[UUID]) -> dict[UUID, QueueState]:
    """Queues of installed enrichers, by id."""
    states = {}
    for queue in provider_queues.by_id(session, ids):
        enricher = enrichers().get(queue.enricher)
        if enricher is not None:
            setting = settings.by_owner(session, queue.tenant, queue.enricher)
            limits = limits_of(enricher, setting)
            states[queue.id] = QueueState(queue.tenant, queue.limiter, limits)
    return states


def estimate(session: Session, tenant: str, waiting: Sequence[JobRow]) -> dict[UUID, datetime]:
    """When a tenant's waiting jobs will probably have finished, by job.

    The first of each queue is placed among all that wait there, other tenants' too; the tenant's
    further jobs follow it.
    """
    if not waiting:
        return {}
    by_queue: dict[UUID, list[JobRow]] = {}
    for job in waiting:
        by_queue.setdefault(job.queue_id, []).append(job)
    estimates: dict[UUID, datetime] = {}
    now = database_now(session).timestamp()
    # The number of other tenants' jobs may be seen; whose they are and what they ask may not.
    set_tenant(session, SERVICE, PLATFORM)
    for queue, state in queue_states(session, list(by_queue)).items():
        ordered = sorted(by_queue[queue], key=lambda job: (job.priority, job.next_at, job.id))
        position = jobs.position(session, ordered[0])
        for offset, job in enumerate(ordered):
            calls = position.jobs_before(offset)
            at = state.limiter.finish_at(state.limits, now, calls)
            estimates[job.id] = datetime.fromtimestamp(at, UTC)
    set_tenant(session, SERVICE, tenant)
    return estimates
