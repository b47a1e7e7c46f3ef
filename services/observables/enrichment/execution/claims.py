"""What a worker takes out of its lanes in one transaction: the next questions, those that need no call set apart."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.answers.repository import Cached
from services.observables.enrichment.disclosure import Refusal, refusal, strictest
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import Ended, Job
from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.enrichment.settings import repository as settings
from services.observables.enrichment.settings.access import accesses
from services.observables.providers.base import Query, RemoteEnricher, Tlp
from shared.database import PLATFORM, Database, set_tenant


class Ask(NamedTuple):
    """What a lane could do now.

    Attributes:
        clicks: how many calls may be paid for; with `others` of them for automatic work.
    """

    enricher: RemoteEnricher
    plan: QuotaLimits
    limiter: RateLimiter
    interactive: int
    background: int


class Call(NamedTuple):
    """A question that is to be asked, with the strictest marking of what it is about."""

    job: Job
    marking: Tlp | None


class Known(NamedTuple):
    """A question that has been answered already."""

    job: Job
    marking: Tlp | None
    cached: Cached


class Taken(NamedTuple):
    """What was taken out of the lanes.

    Attributes:
        lost: lanes that somebody else holds by now.
        calls: paid for, by lane.
        short: lanes that had fewer questions than they were asked for.
    """

    lost: set[UUID]
    calls: dict[UUID, list[Call]]
    known: list[Known]
    refused: list[Ended]
    short: set[UUID]


def take(database: Database, me: UUID, asks: Mapping[UUID, Ask], lease: float) -> Taken:
    """Renew the leases of all lanes in `asks`, take what they could do, and pay for the calls that have to be made."""
    now = datetime.now(UTC)
    taken = Taken(set(), {}, [], [], set())
    limiters = {lane: msgspec.structs.replace(ask.limiter) for lane, ask in asks.items()}
    with database.transaction(PLATFORM) as session:
        kept = provider_queues.save(session, me, limiters, lease)
        taken.lost.update(asks.keys() - kept)
        found = {
            lane: jobs.take(session, me, lane, asks[lane].interactive, asks[lane].background)
            for lane in sorted(kept)
            if asks[lane].interactive
        }
        jobs.reroute(session, me, _sort_out(session, database.service, found, asks, taken, now))
        paid = {}
        for lane, listed in found.items():
            if len(listed) < (asks[lane].background or asks[lane].interactive):
                taken.short.add(lane)
            if calls := taken.calls.get(lane):
                limiters[lane].spend(asks[lane].plan, now.timestamp(), len(calls))
                paid[lane] = limiters[lane]
        if paid:
            provider_queues.save(session, me, paid, lease)
        jobs.end(session, me, taken.refused)
    return taken


def _sort_out(
    session: Session,
    service: str,
    found: Mapping[UUID, Sequence[Job]],
    asks: Mapping[UUID, Ask],
    taken: Taken,
    now: datetime,
) -> dict[UUID, UUID]:
    """Look at each question once more, right before it is asked: markings may have changed, answers may be there.

    Returns:
        Those that belong into other lanes by now, with these.
    """
    moved: dict[UUID, UUID] = {}
    by_tenant: dict[str, list[Job]] = {}
    for listed in found.values():
        for job in listed:
            by_tenant.setdefault(job.tenant, []).append(job)
    for tenant, listed in by_tenant.items():
        set_tenant(session, service, tenant)
        ids = sorted({job.observable_id for job in listed})
        standing = answers.standing(session, tenant, ids)
        cached = answers.cached(session, tenant, ids, now)
        named = {job.enricher: asks[job.lane].enricher for job in listed}
        ways = accesses(tenant, settings.of_tenant(session, tenant), named)
        for job in listed:
            way, there = ways[job.enricher], standing.get(job.observable_id)
            marking = strictest([job.tlp, *(there.tlps if there else ())])
            refused = Refusal("no-access", way.obstacle) if way.obstacle else None
            refused = refused or refusal(
                Query(job.type, job.value),
                way.enricher,
                marking,
                way.max_tlp,
                there.context if there else None,
            )
            answer = cached.get((job.observable_id, job.enricher))
            if way.obstacle is None and way.lane != job.lane:
                moved[job.id] = way.lane
            elif job.trial and way.obstacle is None:
                taken.calls.setdefault(job.lane, []).append(Call(job, None))
            elif refused is not None:
                taken.refused.append(
                    Ended(job.id, "refused", reason=msgspec.json.encode(refused).decode())
                )
            elif answer is not None and not job.fresh:
                taken.known.append(Known(job, marking, answer))
            else:
                taken.calls.setdefault(job.lane, []).append(Call(job, marking))
    set_tenant(session, service, PLATFORM)
    return moved
