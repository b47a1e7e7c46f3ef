"""The selection of policies: what matches, in which order, once, within a budget.

Events one by one lead to the same jobs as all at once.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.observables.enrichment.answers.models import DisclosureState
from services.observables.enrichment.policies import selection
from services.observables.enrichment.policies.models import Policy, PolicyDay
from services.observables.enrichment.policies.selection import Candidate, Pair, Selection
from services.observables.enrichment.queues.models import BACKGROUND
from services.observables.enrichment.settings.access import Access, accesses
from shared.events.observables import Change
from tests.observables.enrichment.enrichers import probe

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ACCESSES = accesses(
    "acme",
    [],
    {
        "alpha": probe("alpha", lifetime=timedelta(hours=12)),
        "beta": probe("beta", lifetime=timedelta(days=3)),
        "names": probe("names", types=frozenset({"domain-name"})),
        "keyed": probe("keyed", key_fields=("key",)),
    },
)
UNMARKED = DisclosureState((), "{}", 0)


def policy(number: int = 1, *enrichers: str, **limits: Any) -> Policy:
    return Policy(
        UUID(int=number), f"policy {number}", frozenset(enrichers or ("alpha",)), **limits
    )


def change(number: int = 1, type_: str = "ipv4-addr", **values: Any) -> Change:
    value = f"45.33.32.{number}" if type_ == "ipv4-addr" else f"n{number}.company.com"
    return Change(
        f"{type_}--{UUID(int=number)}", type_, value, **{"kind": "new", "score": 50, **values}
    )


def find(
    listed: Sequence[Policy], *changes: Change, source: str = "feed", at: datetime = NOON
) -> list[Candidate]:
    return list(selection.candidates(listed, source, changes, ACCESSES, at))


def select(
    candidates: Sequence[Candidate],
    states: dict[str, DisclosureState] | None = None,
    answered: set[Pair] | None = None,
    left: dict[PolicyDay, int] | None = None,
) -> Selection:
    if states is None:
        states = {candidate.pair[0]: UNMARKED for candidate in candidates}

    def budget_left(policy: Policy, day: date) -> int | None:
        if policy.daily_budget is None:
            return None
        return (left or {}).get((policy.id, day), policy.daily_budget)

    return selection.select(
        candidates,
        states,
        ACCESSES,
        lambda candidate: candidate.pair in (answered or ()),
        budget_left,
    )


def jobs_of(selected: Selection) -> list[tuple[str, str, str]]:
    return [
        (request.requested_by, request.value, request.enricher) for _, request in selected.requests
    ]


def names_of(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.pair[1] for candidate in candidates]


def test_a_policy_without_limits_matches_all_but_what_has_ended() -> None:
    assert policy().matches("feed", change(kind="new", score=0))
    assert policy().matches("feed", change(kind="changed"))
    assert not policy().matches("feed", change(kind="expired"))


def test_a_change_must_meet_every_limit() -> None:
    strict = policy(
        types=frozenset({"ipv4-addr"}),
        sources=frozenset({"feed"}),
        tags=frozenset({"c2", "botnet"}),
        min_score=50,
    )
    fits = change(score=50, tags=("c2", "other"))
    assert strict.matches("feed", fits)
    assert not strict.matches("other", fits)
    assert not strict.matches("feed", change(score=49, tags=("c2",)))
    assert not strict.matches("feed", change(tags=("other",)))
    assert not strict.matches("feed", change(tags=()))
    assert not strict.matches("feed", change(type_="domain-name", tags=("c2",)))


def test_candidates_are_ordered_and_unique_and_belong_to_the_first_policy() -> None:
    listed = [policy(1, "beta"), policy(2, "alpha", "beta"), policy(3, "alpha", min_score=60)]
    assert [
        (candidate.policy.name, candidate.pair, candidate.value)
        for candidate in find(listed, change(2), change(1))
    ] == [
        ("policy 1", (str(UUID(int=2)), "beta"), "45.33.32.2"),
        ("policy 2", (str(UUID(int=2)), "alpha"), "45.33.32.2"),
        ("policy 1", (str(UUID(int=1)), "beta"), "45.33.32.1"),
        ("policy 2", (str(UUID(int=1)), "alpha"), "45.33.32.1"),
    ]


def test_only_accessible_enrichers_are_candidates() -> None:
    everyone = policy(1, "alpha", "names", "keyed", "gone")
    assert [candidate.pair[1] for candidate in find([everyone], change())] == ["alpha"]
    assert names_of(find([everyone], change(type_="domain-name"))) == ["alpha", "names"]


def test_a_policy_for_other_sources_has_no_candidates() -> None:
    assert find([policy(sources=frozenset({"other"}))], change()) == []


def test_a_job_names_its_policy_and_is_background_work() -> None:
    ((candidate, request),) = select(find([policy(7)], change())).requests
    assert (request.observable_id, request.type, request.value) == (
        str(UUID(int=1)),
        "ipv4-addr",
        "45.33.32.1",
    )
    assert (request.enricher, request.queue_id) == ("alpha", ACCESSES["alpha"].queue_id)
    assert (request.requested_by, request.policy, request.priority) == (
        "policy:policy 7",
        UUID(int=7),
        BACKGROUND,
    )
    assert (request.depth, request.fresh, request.trial) == (0, False, False)
    assert candidate.policy_day == (UUID(int=7), NOON.date())


def test_answered_and_unknown_observables_are_not_selected() -> None:
    candidates = find([policy(1, "alpha", "beta")], change(1), change(2))
    selected = select(candidates, {str(UUID(int=1)): UNMARKED}, {(str(UUID(int=1)), "alpha")})
    assert jobs_of(selected) == [("policy:policy 1", "45.33.32.1", "beta")]


def test_observables_that_only_an_answer_named_are_not_selected() -> None:
    candidates = find([policy()], change())
    assert select(candidates, {str(UUID(int=1)): DisclosureState((), "{}", 1)}).requests == []


def test_refused_candidates_are_counted_and_cost_nothing() -> None:
    candidates = find([policy(daily_budget=1)], change(1), change(2), change(3), change(4))
    listed = '{"allow_lists": {"hits": [["x", "false_positive"]]}}'
    states = {
        str(UUID(int=1)): DisclosureState(("clear", "red"), "{}", 0),
        str(UUID(int=2)): DisclosureState((), listed, 0),
        str(UUID(int=3)): DisclosureState(("amber",), "{}", 0),
        str(UUID(int=4)): DisclosureState(("green",), "{}", 0),
    }
    selected = select(candidates, states)
    assert selected.refused == {"tlp": 2, "allow-listed": 1}
    assert jobs_of(selected) == [("policy:policy 1", "45.33.32.4", "alpha")]
    assert selected.over_budget == []


def test_a_budget_is_for_one_day_and_one_policy() -> None:
    tight = policy(1, "alpha", daily_budget=2)
    other = policy(2, "beta", daily_budget=1)
    late = find([tight, other], *map(change, (1, 2, 3)), at=NOON + 11 * HOUR)
    early = find([tight, other], *map(change, (4, 5, 6)), at=NOON + 13 * HOUR)
    selected = select([*late, *early])
    spent = Counter(
        (candidate.policy.name, candidate.at.date()) for candidate, _ in selected.requests
    )
    first = NOON.date()
    second = first + timedelta(days=1)
    assert spent == {
        ("policy 1", first): 2,
        ("policy 1", second): 2,
        ("policy 2", first): 1,
        ("policy 2", second): 1,
    }
    assert len(selected.over_budget) == 6
    assert {
        candidate.pair[0] for candidate in selected.over_budget if candidate.policy is tight
    } == {str(UUID(int=3)), str(UUID(int=6))}


def test_earlier_use_of_the_budget_counts() -> None:
    limited = policy(daily_budget=3)
    selected = select(find([limited], *map(change, (1, 2, 3))), left={(limited.id, NOON.date()): 1})
    assert len(selected.requests) == 1
    assert len(selected.over_budget) == 2
    assert select(find([limited], change(1)), left={(limited.id, NOON.date()): 0}).requests == []


def test_a_later_change_is_selected_once_the_answer_has_expired() -> None:
    moments = [NOON, NOON + 11 * HOUR, NOON + 12 * HOUR, NOON + 23 * HOUR, NOON + 24 * HOUR]
    candidates: list[Candidate] = []
    for at in moments:
        candidates += find([policy()], change(kind="changed"), at=at)
    selected = select(candidates)
    assert [candidate.at for candidate, _ in selected.requests] == [
        NOON,
        NOON + 12 * HOUR,
        NOON + 24 * HOUR,
    ]


def test_candidates_over_budget_may_be_selected_the_next_day() -> None:
    candidates = [*find([policy(daily_budget=1)], change(1), change(2))]
    candidates += find([policy(daily_budget=1)], change(2, kind="changed"), at=NOON + 13 * HOUR)
    assert [candidate.value for candidate, _ in select(candidates).requests] == [
        "45.33.32.1",
        "45.33.32.2",
    ]


listed_policies = st.lists(
    st.builds(
        policy,
        number=st.integers(1, 4),
        types=st.sampled_from([frozenset(), frozenset({"ipv4-addr"})]),
        sources=st.sampled_from([frozenset(), frozenset({"feed"})]),
        min_score=st.sampled_from([0, 50]),
        daily_budget=st.none() | st.integers(1, 6),
    ).flatmap(
        lambda listed: st.sets(
            st.sampled_from(["alpha", "beta", "names", "keyed"]), min_size=1
        ).map(lambda names: listed._replace(enrichers=frozenset(names)))
    ),
    max_size=3,
    unique_by=lambda listed: listed.id,
)
events = st.lists(
    st.tuples(
        st.timedeltas(timedelta(), timedelta(days=4)),
        st.sampled_from(["feed", "other"]),
        st.lists(
            st.builds(
                change,
                number=st.integers(1, 6),
                type_=st.sampled_from(["ipv4-addr", "domain-name"]),
                kind=st.sampled_from(["new", "changed", "expired"]),
                score=st.sampled_from([20, 80]),
            ),
            max_size=4,
        ),
    ),
    max_size=12,
).map(lambda events: sorted(events, key=lambda event: event[0]))
all_states = st.fixed_dictionaries(
    {
        str(UUID(int=number)): st.builds(
            DisclosureState,
            tlps=st.sampled_from([(), ("green",), ("amber", None), ("clear",)]),
            context=st.just("{}"),
            depth=st.sampled_from([0, 0, 0, 1]),
        )
        for number in range(1, 7)
    }
)


class Running:
    """The store between events: unexpired queries, and what the budgets have spent."""

    def __init__(self, states: dict[str, DisclosureState]) -> None:
        self.states = states
        self.selected_at: dict[Pair, datetime] = {}
        self.spent: Counter[PolicyDay] = Counter()

    def select(self, candidates: list[Candidate]) -> Selection:
        selected = selection.select(
            candidates, self.states, ACCESSES, self._is_answered, self._budget_left
        )
        for candidate, _ in selected.requests:
            self.selected_at[candidate.pair] = candidate.at
            self.spent[candidate.policy_day] += 1
        return selected

    def _is_answered(self, candidate: Candidate) -> bool:
        before = self.selected_at.get(candidate.pair)
        lifetime = ACCESSES[candidate.pair[1]].enricher.lifetime
        return before is not None and candidate.at - before < lifetime

    def _budget_left(self, policy: Policy, day: date) -> int | None:
        if policy.daily_budget is None:
            return None
        return policy.daily_budget - self.spent[policy.id, day]


@given(listed_policies, events, all_states)
def test_events_one_by_one_lead_to_the_same_jobs_as_all_at_once(
    listed: list[Policy],
    dated_events: list[tuple[timedelta, str, list[Change]]],
    states: dict[str, DisclosureState],
) -> None:
    batches = [
        find(listed, *changes, source=source, at=NOON + after)
        for after, source, changes in dated_events
    ]
    store = Running(states)
    singly = [store.select(batch) for batch in batches]
    together = select(list(chain.from_iterable(batches)), states)
    assert [request for selected in singly for request in selected.requests] == together.requests
    assert (
        list(chain.from_iterable(selected.over_budget for selected in singly))
        == together.over_budget
    )
    refused: Counter[str] = Counter()
    for selected in singly:
        refused.update(selected.refused)
    assert refused == together.refused
    budgets = {policy.id: policy.daily_budget for policy in listed}
    spent = Counter(candidate.policy_day for candidate, _ in together.requests)
    for (policy_id, _), count in spent.items():
        budget = budgets[policy_id]
        assert budget is None or count <= budget


def test_the_access_to_an_enricher_is_that_of_the_tenant() -> None:
    assert isinstance(ACCESSES["alpha"], Access)
    assert ACCESSES["keyed"].obstacle is not None
