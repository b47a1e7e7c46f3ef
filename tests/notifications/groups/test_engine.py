"""The life of a group, decided without a database and without a clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.notifications.groups.engine import (
    DIGEST_KEY,
    OVERFLOW_KEY,
    GroupingRule,
    Holding,
    MatchSet,
    WaitingBatch,
    add_matches,
    end_window,
)
from services.notifications.rules.simulation import MemoryGroupStore, simulate

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
CHANNEL = UUID(int=7)
RULE = GroupingRule(
    UUID(int=1), "acme", "Ours", ((CHANNEL, "Desk"),), ("source.name",), update_seconds=60
)


def matches(
    seconds: float,
    number: int = 1,
    *,
    is_part: bool = False,
    rule: GroupingRule = RULE,
    key: str = "a",
    subject: str | None = None,
    holding: Holding | None = None,
) -> MatchSet:
    listed = [{"id": f"x--{uuid4()}", "score": each} for each in range(number, 0, -1)]
    at = START + timedelta(seconds=seconds)
    return MatchSet(rule, key, {}, subject, str(uuid4()), "ipsum", at, listed, holding, is_part)


def messages_of(store: MemoryGroupStore) -> list[tuple[str, int, int]]:
    return [
        (each["kind"], each["match_count"], each["total_count"] or 0)
        for each in sorted(store.deliveries.values(), key=lambda each: each["event_at"])
    ]


def test_the_first_event_is_told_at_once_and_the_rest_at_the_end_of_the_window() -> None:
    store = simulate([matches(0, 3), matches(1, 10), matches(59, 21)], START + timedelta(hours=1))
    assert messages_of(store) == [("open", 3, 3), ("update", 31, 34)]
    assert store.groups[0].close_reason == "idle"
    assert store.groups[0].closed_at == START + timedelta(seconds=120)


def test_the_events_of_a_run_are_one_message() -> None:
    run = [matches(number / 40, 2, is_part=True) for number in range(17)]
    later = [matches(5, 3, is_part=True), matches(59, is_part=True)]
    store = simulate([*run, *later], START + timedelta(hours=1))
    assert messages_of(store) == [("open", 34, 34), ("update", 4, 38)]
    direct = simulate([matches(0), matches(0.5)], START + timedelta(hours=1))
    assert messages_of(direct) == [("open", 1, 1), ("update", 1, 2)]


def test_a_group_that_gathers_has_the_ids_of_one_that_does_not() -> None:
    first = matches(0, is_part=True)
    gathered = simulate([first, matches(0.5, is_part=True)], START + timedelta(seconds=2))
    direct = simulate([replace(first, is_part=False)], START + timedelta(seconds=2))
    assert gathered.deliveries.keys() == direct.deliveries.keys()


def test_what_a_silence_or_a_digest_takes_does_not_gather() -> None:
    holding = Holding(UUID(int=9), START + timedelta(seconds=10), "maintenance")
    silenced = simulate([matches(0, holding=holding, is_part=True)], START)
    assert [each["kind"] for each in silenced.deliveries.values()] == ["summary"]
    digest = replace(RULE, digest_id=UUID(int=8))
    store = simulate([matches(0, rule=digest, is_part=True)], START + timedelta(hours=1))
    assert store.deliveries == {}


def test_a_group_that_closes_while_it_gathers_tells_both() -> None:
    store = MemoryGroupStore()
    gathering = matches(0, 2, is_part=True)
    add_matches(store, [gathering])
    group = store.groups[0].group
    group.closing_reason = "the observable has expired"
    group.window_ends_at = START + timedelta(milliseconds=10)
    batch = WaitingBatch("ipsum", START, 2, gathering.matches)
    end = end_window(group, [batch], START + timedelta(milliseconds=20))
    texts = [(each["kind"], each["match_count"], each["total_count"]) for each in end.deliveries]
    assert texts == [("open", 2, 2), ("close", 0, 2)]
    assert (end.window_number, end.close_reason) == (1, "the observable has expired")


def test_a_group_opens_at_once_again_after_a_quiet_window() -> None:
    store = simulate([matches(0), matches(300)], START + timedelta(hours=1))
    assert messages_of(store) == [("open", 1, 1), ("open", 1, 1)]


def test_a_match_at_the_end_of_a_window_belongs_to_the_next() -> None:
    store = simulate([matches(0), matches(60), matches(61)], START + timedelta(seconds=180))
    assert [kind for kind, _, _ in messages_of(store)] == ["open", "open", "update"]
    waiting = simulate([matches(0), matches(59.9), matches(60)], START + timedelta(seconds=121))
    assert messages_of(waiting) == [("open", 1, 1), ("update", 1, 2), ("update", 1, 3)]


def test_what_would_open_too_many_groups_is_told_together() -> None:
    rule = GroupingRule(
        RULE.id, "acme", "Ours", RULE.channels, ("observable.value",), "medium", 60, max_groups=3
    )
    sets = [matches(number / 100, rule=rule, key=f"key {number}") for number in range(500)]
    store = simulate(sets, START + timedelta(hours=1))
    assert [each.group.key for each in store.groups][3:] == [OVERFLOW_KEY]
    assert len(store.deliveries) == 5
    assert sum(count for _, count, _ in messages_of(store)) == 500


def test_a_group_about_one_observable_waits_for_its_opposite() -> None:
    store = simulate([matches(0, subject="evil.example")], START + timedelta(days=2))
    assert store.groups[0].closed_at is None
    group = store.groups[0].group
    group.closing_reason = "the observable has expired"
    end = end_window(group, [], START + timedelta(days=2))
    assert [each["kind"] for each in end.deliveries] == ["close"]
    assert end.close_reason == "the observable has expired"
    assert simulate([matches(0, subject="x")], START + timedelta(days=8)).groups[0].closed_at


def test_a_silence_holds_a_message_and_tells_all_at_its_end() -> None:
    holding = Holding(uuid4(), START + timedelta(hours=1), "maintenance")
    sets = [matches(n, 2, key="silence", holding=holding) for n in (0, 600, 1200)]
    during = simulate(sets, START + timedelta(minutes=30))
    assert [(each["state"], each["match_count"]) for each in during.deliveries.values()] == [
        ("held", 0)
    ]
    ended = simulate(sets, START + timedelta(hours=2))
    (summary,) = ended.deliveries.values()
    assert (summary["state"], summary["kind"], summary["match_count"]) == ("pending", "summary", 6)
    assert summary["id"] == next(iter(during.deliveries))


def test_matches_for_a_digest_are_told_by_nobody_else() -> None:
    rule = GroupingRule(RULE.id, "acme", "Ours", RULE.channels, digest_id=uuid4())
    sets = [matches(n, rule=rule, key=DIGEST_KEY) for n in (0, 100, 5000)]
    assert simulate(sets, START + timedelta(days=1)).deliveries == {}


@given(
    st.lists(
        st.tuples(st.floats(0, 3600), st.integers(1, 50), st.sampled_from("abcdef")),
        min_size=1,
        max_size=80,
    ),
    st.integers(1, 4),
)
def test_every_match_is_told_once(events: list[tuple[float, int, str]], max_groups: int) -> None:
    rule = GroupingRule(RULE.id, "acme", "Ours", RULE.channels, (), "low", 60, max_groups)
    sets = [matches(at, number, rule=rule, key=key) for at, number, key in events]
    store = simulate(sets, START + timedelta(days=1))
    assert sum(count for _, count, _ in messages_of(store)) == sum(
        number for _, number, _ in events
    )
    assert all(each.closed_at for each in store.groups)
    again = simulate(reversed(sets), START + timedelta(days=1))
    assert messages_of(again) == messages_of(store)
