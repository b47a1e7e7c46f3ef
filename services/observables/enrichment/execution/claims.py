"""Claiming jobs: one transaction renews the leases of queues, takes their next jobs and pays."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.answers.models import CachedAnswer, DisclosureState
from services.observables.enrichment.disclosure import Refusal, refusal, strictest
from services.observables.enrichment.queues.models import Job, JobEnd
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.enrichment.settings import repository as settings
from services.observables.enrichment.settings.access import Access, accesses
from services.observables.providers.base import Query, RemoteEnricher
from shared.clock import database_now
from shared.database import PLATFORM, Database, set_tenant
from shared.stix.markings import Marking


class QueueCapacity(NamedTuple):
    """What a queue could do now.

    Attributes:
        interactive: how many calls may be paid for.
        background: how many of them may be background work.
    """

    enricher: RemoteEnricher
    limits: QuotaLimits
    limiter: RateLimiter
    interactive: int
    background: int


class PaidCall(NamedTuple):
    """A job whose call is paid for, with the strictest marking of its observable."""

    job: Job
    marking: Marking | None


class CachedJob(NamedTuple):
    """A job that a stored answer answers."""

    job: Job
    marking: Marking | None
    answer: CachedAnswer


class Claims(NamedTuple):
    """The jobs that were claimed.

    Attributes:
        lost: queues that another worker leases by now.
        calls: paid for, by queue.
        drained: queues that had fewer jobs than capacity.
    """

    lost: set[UUID]
    calls: dict[UUID, list[PaidCall]]
    cached: list[CachedJob]
    refused: list[JobEnd]
    drained: set[UUID]


def claim_jobs(
    database: Database, worker: UUID, capacities: Mapping[UUID, QueueCapacity]
) -> Claims:
    """Renew the leases of queues, claim what they could do, and pay for the calls to make."""
    claims = Claims(set(), {}, [], [], set())
    limiters = {
        queue: msgspec.structs.replace(capacity.limiter) for queue, capacity in capacities.items()
    }
    with database.transaction(PLATFORM) as session:
        now = database_now(session)
        leased = provider_queues.save(session, worker, limiters)
        claims.lost.update(capacities.keys() - leased)
        claimed: dict[UUID, list[Job]] = {}
        for queue in sorted(leased):
            capacity = capacities[queue]
            if capacity.interactive:
                claimed[queue] = jobs.claim(
                    session, worker, queue, capacity.interactive, capacity.background
                )
        moved = _sort(session, database.service, claimed, capacities, claims, now)
        jobs.reroute(session, worker, moved)
        paid = {}
        for queue, queue_jobs in claimed.items():
            capacity = capacities[queue]
            if len(queue_jobs) < (capacity.background or capacity.interactive):
                claims.drained.add(queue)
            if calls := claims.calls.get(queue):
                limiters[queue].spend(capacity.limits, now.timestamp(), len(calls))
                paid[queue] = limiters[queue]
        provider_queues.save(session, worker, paid)
        jobs.end(session, worker, claims.refused)
    return claims


def _sort(
    session: Session,
    service: str,
    claimed: Mapping[UUID, Sequence[Job]],
    capacities: Mapping[UUID, QueueCapacity],
    claims: Claims,
    now: datetime,
) -> dict[UUID, UUID]:
    """Check each job once more right before its call, and put it where it belongs in `claims`.

    Markings may have changed while it waited, and answers may have come.

    Returns:
        Jobs that belong to other queues by now, with these.
    """
    moved: dict[UUID, UUID] = {}
    by_tenant: dict[str, list[Job]] = {}
    for queue_jobs in claimed.values():
        for job in queue_jobs:
            by_tenant.setdefault(job.tenant, []).append(job)
    for tenant, tenant_jobs in by_tenant.items():
        set_tenant(session, service, tenant)
        ids = sorted({job.observable_id for job in tenant_jobs})
        states = answers.disclosure_states(session, tenant, ids)
        cached = answers.cached(session, tenant, ids, now)
        enrichers = {job.enricher: capacities[job.queue_id].enricher for job in tenant_jobs}
        tenant_accesses = accesses(tenant, settings.by_tenant(session, tenant), enrichers)
        for job in tenant_jobs:
            access = tenant_accesses[job.enricher]
            state = states.get(job.observable_id)
            marking = strictest([job.tlp, *(state.tlps if state else ())])
            refused = _refusal(job, access, marking, state)
            answer = cached.get((job.observable_id, job.enricher))
            if access.obstacle is None and access.queue_id != job.queue_id:
                moved[job.id] = access.queue_id
            elif job.trial and access.obstacle is None:
                claims.calls.setdefault(job.queue_id, []).append(PaidCall(job, None))
            elif refused is not None:
                reason = msgspec.json.encode(refused).decode()
                claims.refused.append(JobEnd(job.id, "refused", reason=reason))
            elif answer is not None and not job.fresh:
                claims.cached.append(CachedJob(job, marking, answer))
            else:
                claims.calls.setdefault(job.queue_id, []).append(PaidCall(job, marking))
    set_tenant(session, service, PLATFORM)
    return moved


def _refusal(
    job: Job, access: Access, marking: Marking | None, state: DisclosureState | None
) -> Refusal | None:
    if access.obstacle:
        return Refusal("no-access", access.obstacle)
    context = state.context if state else None
    query = Query(job.type, job.value)
    return refusal(query, access.enricher, marking, access.max_tlp, context)
