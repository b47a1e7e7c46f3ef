"""Who joins and leaves lists: by events, by a fill, by capacity, guards, time, and never twice."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from services.observables.dissemination.membership.fill import fill_lists
from services.observables.dissemination.membership.subjects import read_states
from services.observables.dissemination.membership.upkeep import check_entries
from shared.database import PLATFORM
from shared.events.feeds import Indicator
from tests.observables.conftest import OTHER, after
from tests.observables.dissemination.conftest import FEED, Lists, address


def test_observables_join_and_leave_by_their_changes(lists: Lists) -> None:
    view = lists.create('observable.type == "ipv4-addr"', max_shrink=None)
    lists.see(address(1), address(2), Indicator("domain-name", "bad.example.com"))
    assert lists.values(view["id"]) == ["203.0.0.2", "203.0.0.3"]
    lists.see(gone=[address(1)], at=after(5))
    assert lists.values(view["id"]) == ["203.0.0.3"]
    changes = lists.client.get(f"/v1/lists/{view['id']}/changes").json()
    assert [(row["number"], row["kind"]) for row in changes["items"]] == [
        (1, "in"),
        (2, "in"),
        (3, "out"),
    ]
    why = lists.why(view["id"], "203.0.0.2")
    assert (why["state"], why["changes"][0]["reason"]) == ("out", "it has expired")
    assert lists.why(view["id"], "203.0.0.3")["state"] == "in"


def test_a_repeated_event_changes_nothing(lists: Lists) -> None:
    view = lists.create(capacity=2)
    lists.see(address(1), address(2), address(3))
    before = lists.view(view["id"])
    lists.see(address(1), at=after(1))
    lists.follow(repeats=3)
    assert lists.view(view["id"])["version"] == before["version"]


def test_a_fill_and_events_select_the_same(lists: Lists) -> None:
    filters = [
        "observable.score >= 50",
        'observable.type == "domain-name" && observable.value.endsWith(".example.com")',
        'observable.tags.exists(tag, tag == "c2") && observable.sources >= 2',
        '!(observable.value.under("example.com"))',
    ]
    early = [lists.create(text, name=f"early-{place}") for place, text in enumerate(filters)]
    indicators = [*map(address, range(5)), Indicator("domain-name", "a.example.com")]
    lists.see(*indicators, Indicator("url", "http://b.example.com/x"))
    lists.see(address(1), Indicator("domain-name", "a.example.com"), feed=OTHER, at=after(1))
    for place, text in enumerate(filters):
        late = lists.create(text, name=f"late-{place}")
        assert lists.values(early[place]["id"]) == lists.values(late["id"])
        assert lists.values(late["id"]), text


def test_the_highest_scores_fill_the_capacity_exactly(lists: Lists) -> None:
    view = lists.create(capacity=3, max_shrink=None)
    weak = [address(number) for number in range(10)]
    strong = [address(number) for number in (20, 21)]
    lists.see(*weak, feed=OTHER)
    assert len(lists.values(view["id"])) == 3
    lists.see(*strong, at=after(1))
    values = lists.values(view["id"])
    assert len(values) == 3
    assert {each.value for each in strong} <= set(values)
    assert lists.view(view["id"])["refused"] == {"capacity": 9}
    left_out = next(each.value for each in weak if each.value not in values)
    assert lists.why(view["id"], left_out)["state"] == "over capacity"
    lists.see(gone=strong, at=after(2))
    assert len(lists.values(view["id"])) == 3
    lists.client.patch(f"/v1/lists/{view['id']}", json={"capacity": 100})
    fill_lists(lists.own)
    assert len(lists.values(view["id"])) == 10


def test_a_false_positive_leaves_at_once_in_spite_of_grace(lists: Lists) -> None:
    view = lists.create("observable.score >= 50", grace_seconds=86_400)
    lists.see(address(1), address(2))
    entry = lists.client.get("/v1/lookup", params={"value": "203.0.0.2"}).json()["observable"]
    report = {"sightings": [{"value": entry["value"], "kind": "false-positive"}]}
    assert lists.client.post("/v1/sightings", json=report).status_code in {200, 201}
    lists.follow()
    assert lists.values(view["id"]) == ["203.0.0.3"]
    assert lists.why(view["id"], "203.0.0.2")["changes"][0]["reason"] == "a report about it"


def test_what_matches_no_more_stays_for_its_grace_time(lists: Lists) -> None:
    view = lists.create(grace_seconds=3_600, max_shrink=None)
    lists.see(address(1), address(2))
    lists.see(gone=[address(1)], at=after(1))
    why = lists.why(view["id"], "203.0.0.2")
    assert why["state"] == "in"
    assert why["leaves_at"] is not None
    check_entries(lists.own)
    assert len(lists.values(view["id"])) == 2
    with lists.own.transaction(PLATFORM) as session:
        session.execute(
            sa.text("UPDATE list_entry SET leaves_at = now() WHERE leaves_at IS NOT NULL")
        )
    check_entries(lists.own)
    assert lists.values(view["id"]) == ["203.0.0.3"]
    assert lists.why(view["id"], "203.0.0.2")["changes"][0]["reason"] == "time is over"


def test_a_fading_score_knows_when_it_leaves(lists: Lists) -> None:
    view = lists.create("observable.score >= 60")
    stream = FEED.__class__(FEED.id, FEED.name, 80, kind="stream")
    lists.see(address(1), feed=stream, at=datetime.now(UTC).isoformat())
    check_entries(lists.own)
    leaves_at = datetime.fromisoformat(lists.why(view["id"], "203.0.0.2")["leaves_at"])
    assert timedelta(hours=1) < leaves_at - datetime.now(UTC) < timedelta(days=400)
    identity = lists.why(view["id"], "203.0.0.2")["id"]
    with lists.own.transaction("acme") as session:
        [state] = read_states(session, "acme", [UUID(identity[-36:])]).values()
    assert state.evaluate(leaves_at - timedelta(seconds=2)).score >= 60
    assert state.evaluate(leaves_at).score < 60


def test_public_changes_reach_the_lists_of_tenants(lists: Lists) -> None:
    view = lists.create()
    lists.see(address(1), tenant="public")
    assert lists.values(view["id"]) == ["203.0.0.2"]
    # The tenant's own row counts from now on, and not the public one.
    lists.see(address(1), feed=OTHER, at=after(1))
    lists.see(gone=[address(1)], tenant="public", at=after(2))
    assert lists.values(view["id"]) == ["203.0.0.2"]


def test_lists_as_of_moments_and_differences_equal_brute_force(lists: Lists) -> None:
    view = lists.create(max_shrink=None, max_growth=None)
    past: list[tuple[int, str, list[str]]] = []
    present: set[int] = set()
    for step in range(12):
        fresh = {(step * 7 + place * 3) % 20 for place in range(4)}
        stale = {number for number in present if number % (step + 2) == 1}
        lists.see(*map(address, sorted(fresh)), at=after(2 * step))
        lists.see(gone=[*map(address, sorted(stale))], at=after(2 * step + 1))
        present = (present | fresh) - stale
        with lists.own.transaction(PLATFORM) as session:
            moment = session.scalar(sa.text("SELECT clock_timestamp()")).isoformat()
        version = lists.view(view["id"])["version"]
        values = sorted(address(number).value for number in present)
        past.append((version, moment, values))
        assert lists.values(view["id"]) == values
    for _, moment, values in past:
        assert lists.values(view["id"], as_of=moment) == values
    for before, _, first in past:
        for version, _, second in past:
            if before > version:
                continue
            query = {"before": before, "after": version}
            answer = lists.client.get(f"/v1/lists/{view['id']}/diff", params=query).json()
            joined = {row["value"] for row in answer["joined"]}
            left = {row["value"] for row in answer["left"]}
            assert (joined, left) == (set(second) - set(first), set(first) - set(second))
    numbers = lists.rows(
        "SELECT number FROM list_change WHERE list_id = :list ORDER BY 1", view["id"]
    )
    assert [row[0] for row in numbers] == list(range(1, len(numbers) + 1))
