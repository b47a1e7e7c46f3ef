"""The selection of policies: which jobs follow from changes of observables. Pure functions.

A policy matches changes by their type, source, tags and score. Each match is a candidate for every
enricher of the policy; disclosure, stored answers and the daily budget decide which candidates
become jobs. Live events and dry runs go through the same functions, so that a dry run shows what
the policy will do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from services.observables.enrichment.answers.models import DisclosureState
from services.observables.enrichment.disclosure import refusal, strictest
from services.observables.enrichment.policies.models import Policy, PolicyDay
from services.observables.enrichment.queues.models import BACKGROUND, JobRequest
from services.observables.enrichment.settings.access import Access
from services.observables.providers.base import Query
from shared.events.observables import Change

Pair = tuple[str, str]
"""An observable's UUID and an enricher's name."""


class Candidate(NamedTuple):
    """A query that a policy may send.

    Attributes:
        at: when the change happened.
    """

    policy: Policy
    pair: Pair
    type: str
    value: str
    at: datetime

    @property
    def policy_day(self) -> PolicyDay:
        """The policy and the day whose budget pays."""
        return self.policy.id, self.at.date()


def candidates(
    policies: Sequence[Policy],
    source: str,
    changes: Iterable[Change],
    accesses: Mapping[str, Access],
    at: datetime,
) -> Iterator[Candidate]:
    """The candidates from changes that one source caused, in order.

    A query that two policies would send is a candidate of the first.
    """
    interested = [policy for policy in policies if not policy.sources or source in policy.sources]
    if not interested:
        return
    for change in changes:
        names: set[str] = set()
        for policy in interested:
            if not policy.matches(source, change):
                continue
            for name in sorted(policy.enrichers - names):
                access = accesses.get(name)
                if access is None or access.obstacle is not None:
                    continue
                if change.type in access.enricher.types:
                    names.add(name)
                    pair = (change.id[-36:], name)
                    yield Candidate(policy, pair, change.type, change.value, at)


class Selection(NamedTuple):
    """The result of a selection.

    Attributes:
        requests: the jobs to store, each with its candidate.
        over_budget: candidates that their policy's budget has no room for.
        refused: how many candidates disclosure refuses, by the reason's code.
    """

    requests: list[tuple[Candidate, JobRequest]]
    over_budget: list[Candidate]
    refused: dict[str, int]


def select(
    candidates: Iterable[Candidate],
    states: Mapping[str, DisclosureState],
    accesses: Mapping[str, Access],
    is_answered: Callable[[Candidate], bool],
    budget_left: Callable[[Policy, date], int | None],
) -> Selection:
    """Choose the candidates that become jobs.

    Args:
        candidates: in the order of their events.
        states: the disclosure state of observables, by id.
        accesses: the tenant's, by enricher.
        is_answered: whether a candidate's query has a fresh answer, or is open already.
        budget_left: jobs that a policy may still store on a day, before these; None for any
            number.
    """
    selection = Selection([], [], {})
    selected_at: dict[Pair, datetime] = {}
    spent: dict[PolicyDay, int] = {}
    for candidate in candidates:
        access = accesses[candidate.pair[1]]
        state = states.get(candidate.pair[0])
        # An observable that only an answer named is followed by the policy behind that answer.
        if state is None or state.depth > 0 or is_answered(candidate):
            continue
        before = selected_at.get(candidate.pair)
        if before is not None and candidate.at - before < access.enricher.lifetime:
            continue
        query = Query(candidate.type, candidate.value)
        marking = strictest(state.tlps)
        refused = refusal(query, access.enricher, marking, access.max_tlp, state.context)
        if refused is not None:
            selection.refused[refused.code] = selection.refused.get(refused.code, 0) + 1
            continue
        day = candidate.policy_day
        left = budget_left(candidate.policy, day[1])
        if left is not None and spent.get(day, 0) >= left:
            selection.over_budget.append(candidate)
            continue
        spent[day] = spent.get(day, 0) + 1
        selected_at[candidate.pair] = candidate.at
        request = job_request(candidate.policy, candidate.pair[0], query, access)
        selection.requests.append((candidate, request))
    return selection


def job_request(
    policy: Policy, observable: str, query: Query, access: Access, depth: int = 0
) -> JobRequest:
    """A policy's job."""
    return JobRequest(
        observable,
        query.type,
        query.value,
        access.enricher.name,
        access.queue_id,
        BACKGROUND,
        f"policy:{policy.name}",
        policy=policy.id,
        depth=depth,
    )
