"""What policies ask: what they match, in which order, once, within a budget; one by one the same as all at once."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.observables.enrichment.answers.repository import Standing
from services.observables.enrichment.policies import selection
from services.observables.enrichment.policies.selection import Candidate, Chosen, Pair, Policy
from services.observables.enrichment.queues.repository.jobs import BACKGROUND
from services.observables.enrichment.settings.access import Access, accesses
from shared.events.observables import Change
from tests.observables.enrichment.enrichers import probe

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WAYS = accesses(
    "acme",
    [],
    {
        "alpha": probe("alpha", lifetime=timedelta(hours=12)),
        "beta": probe("beta", lifetime=timedelta(days=3)),
        "names": probe("names", types=frozenset({"domain-name"})),
        "keyed": probe("keyed", key_fields=("key",)),
    },
)
KNOWN = Standing((), "{}", 0)


def policy(number: int = 1, *enrichers: str, **limits: Any) -> Policy:
    return Policy(
        UUID(int=number), f"policy {number}", frozenset(enrichers or ("alpha",)), **limits
    )


def change(number: int = 1, type_: str = "ipv4-addr", **values: Any) -> Change:
    value = f"45.33.32.{number}" if type_ == "ipv4-addr" else f"n{number}.company.com"
    return Change(
        f"{type_}--{UUID(int=number)}", type_, value, **{"kind": "new", "score": 50, **values}
    )


def found(
    listed: Sequence[Policy], *changes: Change, source: str = "feed", at: datetime = NOON
) -> list[Candidate]:
    return list(selection.candidates(listed, source, changes, WAYS, at))


def choose(
    asked: Sequence[Candidate],
    standing: dict[str, Standing] | None = None,
    answered: set[Pair] | None = None,
    room: dict[tuple[UUID, Any], int] | None = None,
) -> Chosen:
    there = standing if standing is not None else {one.pair[0]: KNOWN for one in asked}
    return selection.choose(
        asked,
        there,
        WAYS,
        lambda one: one.pair in (answered or ()),
        lambda who, day: (
            None if who.daily_budget is None else (room or {}).get((who.id, day), who.daily_budget)
        ),
    )


def asked_of(chosen: Chosen) -> list[tuple[str, str, str]]:
    return [(one.requested_by, one.value, one.enricher) for _, one in chosen.wanted]


def test_a_policy_without_limits_matches_all_but_what_has_ended() -> None:
    assert policy().matches("feed", change(kind="new", score=0))
    assert policy().matches("feed", change(kind="changed"))
    assert not policy().matches("feed", change(kind="expired"))


def test_each_limit_is_one_that_has_to_be_met() -> None:
    one = policy(
        types=frozenset({"ipv4-addr"}),
        sources=frozenset({"feed"}),
        tags=frozenset({"c2", "botnet"}),
        min_score=50,
    )
    fits = change(score=50, tags=("c2", "other"))
    assert one.matches("feed", fits)
    assert not one.matches("other", fits)
    assert not one.matches("feed", change(score=49, tags=("c2",)))
    assert not one.matches("feed", change(tags=("other",)))
    assert not one.matches("feed", change(tags=()))
    assert not one.matches("feed", change(type_="domain-name", tags=("c2",)))


def test_candidates_come_in_order_each_question_once_and_the_first_policy_asks() -> None:
    listed = [policy(1, "beta"), policy(2, "alpha", "beta"), policy(3, "alpha", min_score=60)]
    assert [
        (one.policy.name, one.pair, one.value) for one in found(listed, change(2), change(1))
    ] == [
        ("policy 1", (str(UUID(int=2)), "beta"), "45.33.32.2"),
        ("policy 2", (str(UUID(int=2)), "alpha"), "45.33.32.2"),
        ("policy 1", (str(UUID(int=1)), "beta"), "45.33.32.1"),
        ("policy 2", (str(UUID(int=1)), "alpha"), "45.33.32.1"),
    ]


def test_only_who_can_be_asked_is_a_candidate() -> None:
    everyone = policy(1, "alpha", "names", "keyed", "gone")
    assert [one.pair[1] for one in found([everyone], change())] == ["alpha"]
    assert [one.pair[1] for one in found([everyone], change(type_="domain-name"))] == [
        "alpha",
        "names",
    ]


def test_a_policy_of_other_sources_does_not_ask() -> None:
    assert found([policy(sources=frozenset({"other"}))], change()) == []


def test_a_question_says_who_asks_and_waits_behind_people() -> None:
    ((candidate, wanted),) = choose(found([policy(7)], change())).wanted
    assert (wanted.observable_id, wanted.type, wanted.value) == (
        str(UUID(int=1)),
        "ipv4-addr",
        "45.33.32.1",
    )
    assert (wanted.enricher, wanted.lane) == ("alpha", WAYS["alpha"].lane)
    assert (wanted.requested_by, wanted.policy, wanted.priority) == (
        "policy:policy 7",
        UUID(int=7),
        BACKGROUND,
    )
    assert (wanted.depth, wanted.fresh, wanted.trial) == (0, False, False)
    assert candidate.day == NOON.date()


def test_what_is_answered_already_or_unknown_is_not_asked() -> None:
    asked = found([policy(1, "alpha", "beta")], change(1), change(2))
    chosen = choose(asked, {str(UUID(int=1)): KNOWN}, {(str(UUID(int=1)), "alpha")})
    assert asked_of(chosen) == [("policy:policy 1", "45.33.32.1", "beta")]


def test_what_only_an_answer_brought_is_not_asked() -> None:
    asked = found([policy()], change())
    assert choose(asked, {str(UUID(int=1)): Standing((), "{}", 1)}).wanted == []


def test_refused_questions_are_counted_and_cost_nothing() -> None:
    asked = found([policy(daily_budget=1)], change(1), change(2), change(3), change(4))
    listed = '{"allow_lists": {"hits": [["x", "false_positive"]]}}'
    standing = {
        str(UUID(int=1)): Standing(("clear", "red"), "{}", 0),
        str(UUID(int=2)): Standing((), listed, 0),
        str(UUID(int=3)): Standing(("amber",), "{}", 0),
        str(UUID(int=4)): Standing(("green",), "{}", 0),
    }
    chosen = choose(asked, standing)
    assert chosen.refused == {"tlp": 2, "allow-listed": 1}
    assert asked_of(chosen) == [("policy:policy 1", "45.33.32.4", "alpha")]
    assert chosen.over_budget == []


def test_a_budget_is_a_days_and_a_policys() -> None:
    tight, other = policy(1, "alpha", daily_budget=2), policy(2, "beta", daily_budget=1)
    late = found([tight, other], *map(change, (1, 2, 3)), at=NOON + 11 * HOUR)
    early = found([tight, other], *map(change, (4, 5, 6)), at=NOON + 13 * HOUR)
    chosen = choose([*late, *early])
    spent = Counter((one.policy.name, one.day) for one, _ in chosen.wanted)
    first, second = NOON.date(), NOON.date() + timedelta(days=1)
    assert spent == {
        ("policy 1", first): 2,
        ("policy 1", second): 2,
        ("policy 2", first): 1,
        ("policy 2", second): 1,
    }
    assert len(chosen.over_budget) == 6
    assert {one.pair[0] for one in chosen.over_budget if one.policy is tight} == {
        str(UUID(int=3)),
        str(UUID(int=6)),
    }


def test_what_was_spent_before_counts() -> None:
    one = policy(daily_budget=3)
    chosen = choose(found([one], *map(change, (1, 2, 3))), room={(one.id, NOON.date()): 1})
    assert len(chosen.wanted) == 1
    assert len(chosen.over_budget) == 2
    assert choose(found([one], change(1)), room={(one.id, NOON.date()): 0}).wanted == []


def test_a_later_change_is_asked_about_when_the_answer_has_outlived_itself() -> None:
    moments = [NOON, NOON + 11 * HOUR, NOON + 12 * HOUR, NOON + 23 * HOUR, NOON + 24 * HOUR]
    chosen = choose(
        [one for at in moments for one in found([policy()], change(kind="changed"), at=at)]
    )
    assert [one.at for one, _ in chosen.wanted] == [NOON, NOON + 12 * HOUR, NOON + 24 * HOUR]


def test_what_the_budget_had_no_room_for_may_be_asked_the_next_day() -> None:
    asked = [*found([policy(daily_budget=1)], change(1), change(2))]
    asked += found([policy(daily_budget=1)], change(2, kind="changed"), at=NOON + 13 * HOUR)
    assert [one.value for one, _ in choose(asked).wanted] == ["45.33.32.1", "45.33.32.2"]


listed_policies = st.lists(
    st.builds(
        policy,
        number=st.integers(1, 4),
        types=st.sampled_from([frozenset(), frozenset({"ipv4-addr"})]),
        sources=st.sampled_from([frozenset(), frozenset({"feed"})]),
        min_score=st.sampled_from([0, 50]),
        daily_budget=st.none() | st.integers(1, 6),
    ).flatmap(
        lambda one: st.sets(st.sampled_from(["alpha", "beta", "names", "keyed"]), min_size=1).map(
            lambda names: one._replace(enrichers=frozenset(names))
        )
    ),
    max_size=3,
    unique_by=lambda one: one.id,
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
).map(lambda many: sorted(many, key=lambda one: one[0]))
standings = st.fixed_dictionaries(
    {
        str(UUID(int=number)): st.builds(
            Standing,
            tlps=st.sampled_from([(), ("green",), ("amber", None), ("clear",)]),
            context=st.just("{}"),
            depth=st.sampled_from([0, 0, 0, 1]),
        )
        for number in range(1, 7)
    }
)


class Running:
    """What the store says between events: what was asked, until its answer has outlived itself, and what was spent."""

    def __init__(self, standing: dict[str, Standing]) -> None:
        self.standing = standing
        self.asked: dict[Pair, datetime] = {}
        self.spent: Counter[tuple[UUID, Any]] = Counter()

    def choose(self, asked: list[Candidate]) -> Chosen:
        chosen = selection.choose(asked, self.standing, WAYS, self._answered, self._room)
        for one, _ in chosen.wanted:
            self.asked[one.pair] = one.at
            self.spent[one.policy.id, one.day] += 1
        return chosen

    def _answered(self, one: Candidate) -> bool:
        before = self.asked.get(one.pair)
        return before is not None and one.at - before < WAYS[one.pair[1]].enricher.lifetime

    def _room(self, who: Policy, day: Any) -> int | None:
        return None if who.daily_budget is None else who.daily_budget - self.spent[who.id, day]


@given(listed_policies, events, standings)
def test_events_one_by_one_are_the_same_as_all_at_once(
    listed: list[Policy],
    happened: list[tuple[timedelta, str, list[Change]]],
    standing: dict[str, Standing],
) -> None:
    batches = [
        found(listed, *changes, source=source, at=NOON + after)
        for after, source, changes in happened
    ]
    store = Running(standing)
    singly = [store.choose(batch) for batch in batches]
    together = choose([one for batch in batches for one in batch], standing)
    assert [pair for chosen in singly for pair in chosen.wanted] == together.wanted
    assert [one for chosen in singly for one in chosen.over_budget] == together.over_budget
    assert sum((Counter(chosen.refused) for chosen in singly), Counter()) == together.refused
    for (who, _), count in Counter((one.policy.id, one.day) for one, _ in together.wanted).items():
        budget = next(one.daily_budget for one in listed if one.id == who)
        assert budget is None or count <= budget


def test_the_way_to_an_enricher_is_that_of_the_tenant() -> None:
    assert isinstance(WAYS["alpha"], Access)
    assert WAYS["keyed"].obstacle is not None
