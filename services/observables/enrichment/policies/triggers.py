"""From changes of observables, and from new observables that answers bring, to the questions that policies ask."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.disclosure import refusal, strictest
from services.observables.enrichment.policies import repository as stored
from services.observables.enrichment.policies import selection as policies
from services.observables.enrichment.policies.selection import Candidate, Chosen, Policy
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import Job, JobRequest
from services.observables.enrichment.queues.wakeup import wake_after_commit
from services.observables.enrichment.settings import repository as settings
from services.observables.enrichment.settings.access import Access, accesses
from services.observables.providers.base import Query
from services.observables.providers.registry import enrichers
from shared.events import Event
from shared.events.observables import ObservablesChanged
from shared.stix import Observable
from shared.timestamps import parse_timestamp


def handle_changed(session: Session, events: Sequence[Event[ObservablesChanged]]) -> None:
    """Ask what the policies of a tenant want to know about what has changed; the events are of one tenant."""
    tenant = events[0].tenant
    active = stored.enabled(session, tenant)
    if active:
        ways = accesses_of(session, tenant)
        asked = [
            one
            for event in events
            for one in policies.candidates(
                active,
                event.data.source,
                event.data.changes,
                ways,
                parse_timestamp(event.time) if event.time else datetime.now(UTC),
            )
        ]
        if ask(session, tenant, asked, ways).wanted:
            wake_after_commit(session)


def accesses_of(session: Session, tenant: str) -> dict[str, Access]:
    """A tenant's ways to all enrichers."""
    return accesses(tenant, settings.of_tenant(session, tenant), enrichers())


def ask(
    session: Session, tenant: str, asked: Sequence[Candidate], ways: Mapping[str, Access]
) -> Chosen:
    """Choose among candidates and store the questions.

    Returns:
        What was chosen; of it, what was stored is counted against the budgets.
    """
    if not asked:
        return Chosen([], [], {})
    ids = sorted({one.pair[0] for one in asked})
    fresh = answers.cached(session, tenant, ids, datetime.now(UTC))
    open_ = jobs.open_pairs(session, tenant, ids)
    used = stored.used(
        session,
        tenant,
        ((one.policy.id, one.day) for one in asked if one.policy.daily_budget is not None),
    )
    chosen = policies.choose(
        asked,
        answers.standing(session, tenant, ids),
        ways,
        lambda one: one.pair in fresh or one.pair in open_,
        lambda policy, day: room(policy, used.get((policy.id, day), 0)),
    )
    added = _store(session, tenant, [one for _, one in chosen.wanted], ways)
    chosen = chosen._replace(
        wanted=[(one, wanted) for one, wanted in chosen.wanted if one.pair in added]
    )
    stored.spend(session, tenant, _spent(chosen))
    return chosen


def room(policy: Policy, used: int) -> int | None:
    """What is left of a policy's budget for a day."""
    return None if policy.daily_budget is None else max(0, policy.daily_budget - used)


def _spent(chosen: Chosen) -> dict[tuple[UUID, date], tuple[int, int]]:
    asked = Counter((one.policy.id, one.day) for one, _ in chosen.wanted)
    over = Counter((one.policy.id, one.day) for one in chosen.over_budget)
    return {key: (asked[key], over[key]) for key in asked | over}


def _store(
    session: Session, tenant: str, wanted: Sequence[JobRequest], ways: Mapping[str, Access]
) -> set[tuple[str, str]]:
    """Store questions; observable and enricher of those that were not open already."""
    used = {ways[one.enricher] for one in wanted}
    provider_queues.ensure(
        session,
        SERVICE,
        tenant,
        ((way.lane, way.owner, way.enricher.name, way.key_id) for way in used),
    )
    return {(observable, enricher) for _, observable, enricher in jobs.add(session, tenant, wanted)}


def follow(
    session: Session,
    tenant: str,
    job: Job,
    found: Mapping[str, Observable],
    contexts: Mapping[str, str],
    now: datetime,
) -> None:
    """Let the policy that asked go on with the new observables of an answer, no deeper than it says.

    Args:
        session: a transaction of the tenant's.
        tenant: the tenant.
        job: whose answer it was.
        found: new observables, by their UUID.
        contexts: what offline enrichers found about them, as JSON.
        now: the time.
    """
    row = stored.one_of(session, tenant, job.policy) if job.policy is not None and found else None
    if row is None or not row.enabled or job.depth + 1 > row.depth:
        return
    policy, ways = stored.policy_of(row), accesses_of(session, tenant)
    wanted = list(_next(policy, ways, job, found, contexts))
    key = (policy.id, now.date())
    left = None
    if policy.daily_budget is not None:
        left = room(policy, stored.used(session, tenant, [key])[key])
    taken = wanted[:left]
    asked = len(_store(session, tenant, taken, ways))
    stored.spend(session, tenant, {key: (asked, len(wanted) - len(taken))})


def _next(
    policy: Policy,
    ways: Mapping[str, Access],
    job: Job,
    found: Mapping[str, Observable],
    contexts: Mapping[str, str],
) -> Iterable[JobRequest]:
    marking = strictest([job.tlp])
    for identity, one in sorted(found.items()):
        for name in sorted(policy.enrichers):
            way = ways.get(name)
            if way is None or way.obstacle is not None or one.type not in way.enricher.types:
                continue
            asked = Query(one.type, one.value)
            if refusal(asked, way.enricher, marking, way.max_tlp, contexts.get(identity)) is None:
                yield policies.wanted(
                    policy, (identity, name), one.type, one.value, way, job.depth + 1
                )
