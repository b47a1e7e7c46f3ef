"""Policies: what is asked without anybody asking. Plain functions, no I/O.

A policy matches changes of observables by their type, source, tags and score; what it matches is asked of its
enrichers, once, as far as the gate and its budget for a day let it. The same function chooses for events as they come
and for those of the past, so that a dry run tells what the policy then does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from services.observables.enrichment.answers.repository import Standing
from services.observables.enrichment.disclosure import refusal, strictest
from services.observables.enrichment.queues.repository.jobs import BACKGROUND, JobRequest
from services.observables.enrichment.settings.access import Access
from services.observables.providers.base import Query
from shared.events.observables import Change

Pair = tuple[str, str]
"""An observable's UUID and an enricher's name."""


class Policy(NamedTuple):
    """A policy as choosing needs it; an empty set means any.

    Attributes:
        sources: names of feeds.
        tags: any of these.
        min_score: 0 to 100.
        depth: how many answers away from a source's word the new observables of answers are followed.
        daily_budget: questions in a day (UTC); None when only the providers' budgets count.
    """

    id: UUID
    name: str
    enrichers: frozenset[str]
    types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    min_score: int = 0
    depth: int = 0
    daily_budget: int | None = None

    def matches(self, source: str, change: Change) -> bool:
        """Whether a change is one that this policy asks about."""
        return (
            change.kind != "expired"
            and change.score >= self.min_score
            and (not self.types or change.type in self.types)
            and (not self.sources or source in self.sources)
            and (not self.tags or not self.tags.isdisjoint(change.tags))
        )


class Candidate(NamedTuple):
    """A question that a policy would ask.

    Attributes:
        at: when what it is about happened.
    """

    policy: Policy
    pair: Pair
    type: str
    value: str
    at: datetime

    @property
    def day(self) -> date:
        """The day whose budget it is paid from."""
        return self.at.date()


def candidates(
    policies: Sequence[Policy],
    source: str,
    changes: Iterable[Change],
    ways: Mapping[str, Access],
    at: datetime,
) -> Iterator[Candidate]:
    """What policies would ask about changes that one source caused, in order; a question that two would ask, once."""
    interested = [one for one in policies if not one.sources or source in one.sources]
    for change in changes if interested else ():
        asked: set[str] = set()
        for policy in interested:
            if policy.matches(source, change):
                for name in sorted(policy.enrichers - asked):
                    way = ways.get(name)
                    if (
                        way is not None
                        and way.obstacle is None
                        and change.type in way.enricher.types
                    ):
                        asked.add(name)
                        yield Candidate(
                            policy, (change.id[-36:], name), change.type, change.value, at
                        )


class Chosen(NamedTuple):
    """What comes of candidates.

    Attributes:
        wanted: the questions to ask, each with its candidate.
        over_budget: those that a policy's budget had no room for.
        refused: how many may not be asked, by the reason's code.
    """

    wanted: list[tuple[Candidate, JobRequest]]
    over_budget: list[Candidate]
    refused: dict[str, int]


def choose(
    asked: Iterable[Candidate],
    standing: Mapping[str, Standing],
    ways: Mapping[str, Access],
    answered: Callable[[Candidate], bool],
    room: Callable[[Policy, date], int | None],
) -> Chosen:
    """Which questions are asked.

    Args:
        asked: the candidates, in the order of their events.
        standing: what decides whether an observable may be asked about.
        ways: the tenant's way to each enricher.
        answered: whether a question has a fresh answer, or is open already.
        room: how many questions a policy may still ask on a day, before these; None for any number.
    """
    chosen = Chosen([], [], {})
    seen: dict[Pair, datetime] = {}
    spent: dict[tuple[UUID, date], int] = {}
    for one in asked:
        way, there = ways[one.pair[1]], standing.get(one.pair[0])
        # What only an answer brought is followed by the policy that asked for it, and by no other.
        if there is None or there.depth > 0 or answered(one) or _asked_lately(seen, one, way):
            continue
        marking = strictest(there.tlps)
        refused = refusal(
            Query(one.type, one.value), way.enricher, marking, way.max_tlp, there.context
        )
        if refused is not None:
            chosen.refused[refused.code] = chosen.refused.get(refused.code, 0) + 1
            continue
        key, left = (one.policy.id, one.day), room(one.policy, one.day)
        if left is not None and spent.get(key, 0) >= left:
            chosen.over_budget.append(one)
            continue
        spent[key] = spent.get(key, 0) + 1
        seen[one.pair] = one.at
        chosen.wanted.append((one, wanted(one.policy, one.pair, one.type, one.value, way)))
    return chosen


def wanted(
    policy: Policy, pair: Pair, type_: str, value: str, way: Access, depth: int = 0
) -> JobRequest:
    """A policy's question."""
    by = f"policy:{policy.name}"
    return JobRequest(
        pair[0], type_, value, pair[1], way.lane, BACKGROUND, by, policy=policy.id, depth=depth
    )


def _asked_lately(seen: Mapping[Pair, datetime], one: Candidate, way: Access) -> bool:
    before = seen.get(one.pair)
    return before is not None and one.at - before < way.enricher.lifetime
