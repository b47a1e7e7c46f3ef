"""What triggers policies: changes of observables, and new observables that answers name."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.disclosure import refusal, strictest
from services.observables.enrichment.policies import repository, selection
from services.observables.enrichment.policies.models import Policy, PolicyDay, PolicyUse
from services.observables.enrichment.policies.selection import Candidate, Selection
from services.observables.enrichment.queues.models import Job, JobRequest
from services.observables.enrichment.queues.repository import jobs
from services.observables.enrichment.queues.service import enqueue
from services.observables.enrichment.settings.access import Access
from services.observables.enrichment.settings.service import accesses_of
from services.observables.providers.base import Query
from shared.stix import Observable


def enqueue_candidates(
    session: Session,
    tenant: str,
    candidates: Sequence[Candidate],
    accesses: Mapping[str, Access],
) -> Selection:
    """Select among candidates and store their jobs.

    Returns:
        The selection, with the jobs that were stored; those count against the budgets.
    """
    if not candidates:
        return Selection([], [], {})
    ids = sorted({candidate.pair[0] for candidate in candidates})
    cached = answers.cached(session, tenant, ids, datetime.now(UTC))
    open_jobs = jobs.open_jobs(session, tenant, ids)
    limited = [
        candidate.policy_day
        for candidate in candidates
        if candidate.policy.daily_budget is not None
    ]
    used = repository.lock_budgets(session, tenant, limited)
    selected = selection.select(
        candidates,
        answers.disclosure_states(session, tenant, ids),
        accesses,
        lambda candidate: candidate.pair in cached or candidate.pair in open_jobs,
        lambda policy, day: policy.budget_left(used.get((policy.id, day), 0)),
    )
    added = enqueue(session, tenant, [request for _, request in selected.requests], accesses)
    stored = [
        (candidate, request) for candidate, request in selected.requests if candidate.pair in added
    ]
    selected = selected._replace(requests=stored)
    repository.spend(session, tenant, _uses(selected))
    return selected


def _uses(selected: Selection) -> dict[PolicyDay, PolicyUse]:
    stored = Counter(candidate.policy_day for candidate, _ in selected.requests)
    over = Counter(candidate.policy_day for candidate in selected.over_budget)
    return {day: PolicyUse(stored[day], over[day]) for day in stored | over}


def follow_answer(
    session: Session,
    tenant: str,
    job: Job,
    observables: Mapping[str, Observable],
    contexts: Mapping[str, str],
    now: datetime,
) -> None:
    """Let the policy behind a job query the new observables of its answer, within its depth.

    Args:
        session: a transaction of the tenant's.
        tenant: the tenant.
        job: the answered one.
        observables: the new ones, by UUID.
        contexts: their offline enrichment, as JSON.
        now: the time.
    """
    if job.policy is None or not observables:
        return
    row = repository.get(session, tenant, job.policy)
    if row is None or not row.enabled or job.depth + 1 > row.depth:
        return
    policy = row.policy()
    accesses = accesses_of(session, tenant)
    requests = list(_requests(policy, accesses, job, observables, contexts))
    day = (policy.id, now.date())
    left = None
    if policy.daily_budget is not None:
        used = repository.lock_budgets(session, tenant, [day])
        left = policy.budget_left(used[day])
    affordable = requests[:left]
    stored = len(enqueue(session, tenant, affordable, accesses))
    use = PolicyUse(stored, len(requests) - len(affordable))
    repository.spend(session, tenant, {day: use})


def _requests(
    policy: Policy,
    accesses: Mapping[str, Access],
    job: Job,
    observables: Mapping[str, Observable],
    contexts: Mapping[str, str],
) -> Iterator[JobRequest]:
    marking = strictest([job.tlp])
    for identity, observable in sorted(observables.items()):
        for name in sorted(policy.enrichers):
            access = accesses.get(name)
            if access is None or access.obstacle is not None:
                continue
            if observable.type not in access.enricher.types:
                continue
            query = Query(observable.type, observable.value)
            context = contexts.get(identity)
            if refusal(query, access.enricher, marking, access.max_tlp, context) is None:
                yield selection.job_request(policy, identity, query, access, job.depth + 1)
