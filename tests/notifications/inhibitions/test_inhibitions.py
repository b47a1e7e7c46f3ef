"""Inhibitions: while a match fires, targets with equal labels are held, and told of once."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifications.groups.windows import end_due_windows
from services.notifications.inhibitions.activity import PlannedInhibition, place_firing
from services.notifications.inhibitions.service import MAX_FIRINGS
from services.notifications.rules.handlers import RuleMatcher
from services.notifications.silences.activity import owned_expression
from shared.database import PLATFORM
from shared.events import Event, FeedRef
from shared.events.feeds import HEALTH, HealthChanged
from tests.notifications.conftest import change
from tests.notifications.rules.test_dry_run import publish

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


def inhibition(bench: Any, source: str, target: str, **values: Any) -> dict[str, Any]:
    body = {
        "name": f"inhibition {uuid4().hex[:6]}",
        "source_filter": source,
        "target_filter": target,
        **values,
    }
    answer = bench.api.post("/v1/inhibitions", json=body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def end(bench: Any, created: dict[str, Any]) -> None:
    bench.sql(
        "UPDATE match_group SET window_ends_at = now() WHERE silence_id IN"
        " (SELECT id FROM inhibition_firing WHERE inhibition_id = :id)",
        id=created["id"],
    )
    end_due_windows(bench.own)


def bodies(receiver: Any) -> list[tuple[str, int]]:
    messages = [json.loads(received.body)["data"] for received in receiver.received]
    return [(data["kind"], data["match_count"]) for data in messages]


@pytest.fixture
def pair(bench: Any, receiver: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A rule that fires, one whose matches are held, and their feed."""
    feed = f"feed-{uuid4().hex[:6]}"
    channel = bench.channel(receiver.url)
    loud = bench.rule(channel, sources=[feed], min_score=80)
    quiet = bench.rule(channel, sources=[feed])
    return loud, quiet, feed


def stored(bench: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = bench.api.get("/v1/inhibitions").json()["items"]
    return items


def names(loud: dict[str, Any], quiet: dict[str, Any]) -> tuple[str, str]:
    return f'rule.name == "{loud["name"]}"', f'rule.name == "{quiet["name"]}"'


def test_targets_with_equal_labels_are_held_and_told_once(
    bench: Any, receiver: Any, pair: Any
) -> None:
    loud, quiet, feed = pair
    created = inhibition(bench, *names(loud, quiet), equal=["observable.value"])
    firing = bench.event(feed, change(value="192.0.2.66", score=90))
    for event in (firing, firing, bench.event(feed, change(value="192.0.2.66", score=30))):
        bench.handle(event)
    bench.handle(bench.event(feed, change(value="192.0.2.7", score=30)))
    bench.deliver()
    assert bodies(receiver) == [("open", 1), ("open", 1)], "the firing, and what is not equal"
    (delivery,) = [row for row in bench.ledger(quiet) if row["phase"] == "held"]
    detail = bench.api.get(f"/v1/inhibitions/{created['id']}").json()
    (firing_view,) = detail["firings"]
    assert firing_view["labels"] == {"observable.value": "192.0.2.66"}
    assert firing_view["match_count"] == 2
    assert delivery["held_by"] == f"inhibition {firing_view['id']}"
    for _ in range(2):
        end(bench, created)
        bench.deliver()
    assert bodies(receiver)[2:] == [("summary", 2)]
    summary = json.loads(receiver.received[-1].body)["data"]
    assert "inhibition" in summary["reason"]


def test_what_fires_is_never_held_by_its_own_inhibition(
    bench: Any, receiver: Any, pair: Any
) -> None:
    loud, quiet, feed = pair
    source, target = names(loud, quiet)
    inhibition(bench, source, f"{source} || {target}")
    bench.handle(bench.event(feed, change(score=90)))
    bench.deliver()
    assert bodies(receiver) == [("open", 1)]
    assert [row["phase"] for row in bench.ledger(quiet)] == ["held"]
    assert [row["phase"] for row in bench.ledger(loud)] == ["delivered"]


def test_a_feed_that_is_down_holds_what_is_told_of_it(bench: Any, receiver: Any) -> None:
    feed = f"feed-{uuid4().hex[:6]}"
    channel = bench.channel(receiver.url)
    health = bench.rule(channel, sources=[feed], on=["health"])
    rule = bench.rule(channel, sources=[feed])
    inhibition(bench, *names(health, rule), equal=["source.name"])
    reported = HealthChanged(FeedRef(uuid4(), feed), "late", "healthy", "2026-11-24T08:00:00Z", {})
    event = Event(HEALTH, reported, "public", "/services/feeds")
    with bench.own.transaction(PLATFORM) as session:
        RuleMatcher().handle_health(session, [event])
    bench.handle(bench.event(feed))
    bench.deliver()
    assert len(receiver.received) == 1
    assert [row["phase"] for row in bench.ledger(rule)] == ["held"]


def test_one_that_is_deleted_or_switched_off_holds_nothing(
    bench: Any, receiver: Any, pair: Any
) -> None:
    loud, quiet, feed = pair
    first = inhibition(bench, *names(loud, quiet))
    bench.handle(bench.event(feed, change(score=90)))
    changed = bench.api.patch(f"/v1/inhibitions/{first['id']}", json={"enabled": False})
    assert changed.json()["enabled"] is False
    assert bench.api.get(f"/v1/inhibitions/{first['id']}").json()["firings"] == []
    bench.handle(bench.event(feed, change(score=30)))
    assert sorted(row["phase"] for row in bench.ledger(quiet)) == ["held", "queued"]
    assert bench.api.delete(f"/v1/inhibitions/{first['id']}").status_code == 204
    assert bench.api.get(f"/v1/inhibitions/{first['id']}").status_code == 404
    bench.sql(
        "UPDATE match_group SET window_ends_at = now() WHERE silence_id IS NOT NULL"
        " AND rule_id = :rule",
        rule=quiet["id"],
    )
    end_due_windows(bench.own)
    bench.deliver()
    assert {row["phase"] for row in bench.ledger(quiet)} == {"delivered"}


def test_a_dry_run_holds_what_was_held(bench: Any, receiver: Any, pair: Any) -> None:
    loud, quiet, feed = pair
    inhibition(bench, *names(loud, quiet), equal=["observable.value"])
    events = [
        bench.event(feed, change(value="192.0.2.66", score=90)),
        bench.event(feed, change(value="192.0.2.66", score=30), change(value="192.0.2.9")),
    ]
    publish(bench, events)
    for event in events:
        bench.handle(event)
    answer = bench.api.post(f"/v1/rules/{quiet['id']}/dry-run", json={"hours": 1})
    ledger = bench.ledger(quiet)
    assert sorted(answer.json()["before"]["message_ids"]) == sorted(row["id"] for row in ledger)
    bench.deliver()


def test_a_preview_counts_what_would_have_been_held(bench: Any, receiver: Any, pair: Any) -> None:
    loud, quiet, feed = pair
    for score in (90, 30, 40):
        bench.handle(bench.event(feed, change(value="192.0.2.66", score=score)))
    source, target = names(loud, quiet)
    body = {
        "name": "tried",
        "source_filter": source,
        "target_filter": target,
        "equal": ["observable.value"],
    }
    preview = bench.api.post("/v1/inhibitions/preview", json={"inhibition": body}).json()
    assert preview["firing_count"] == 1
    assert preview["by_rule"] == {quiet["name"]: 3}
    assert len(preview["examples"]) == 3
    assert body["name"] not in [each["name"] for each in stored(bench)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source_filter", "rule.nme == 'x'"),
        ("target_filter", "(" * 2000),
        ("target_filter", 'observable.value in watchlist("none")'),
        ("hold_seconds", 1),
        ("equal", ["rule.name"]),
        ("name", "a\x00b"),
    ],
    ids=["unknown-field", "brackets", "no-watchlist", "short", "label", "control"],
)
def test_what_cannot_work_is_refused(bench: Any, field: str, value: Any) -> None:
    body = {"name": "x", "source_filter": "change.score > 1", "target_filter": "change.score < 1"}
    before = stored(bench)
    answer = bench.api.post("/v1/inhibitions", json=body | {field: value})
    assert answer.status_code == 422
    assert field in answer.text
    assert stored(bench) == before


def test_a_storm_of_labels_fires_a_bounded_number(bench: Any, receiver: Any, pair: Any) -> None:
    loud, quiet, feed = pair
    created = inhibition(bench, *names(loud, quiet), equal=["observable.value"])
    values = [change(value=f"198.51.{n // 250}.{n % 250}") for n in range(MAX_FIRINGS + 300)]
    bench.handle(bench.event(feed, *values))
    (row,) = bench.sql(
        "SELECT count(*) AS n FROM inhibition_firing WHERE inhibition_id = :id", id=created["id"]
    )
    assert row.n == MAX_FIRINGS


def test_another_tenant_sees_and_holds_nothing(bench: Any, receiver: Any, pair: Any) -> None:
    loud, quiet, feed = pair
    created = inhibition(bench, *names(loud, quiet))
    other = bench.client_for("notifications", tenant="globex", role="analyst")
    assert other.get("/v1/inhibitions").json()["items"] == []
    for verb in ("get", "delete"):
        assert getattr(other, verb)(f"/v1/inhibitions/{created['id']}").status_code == 404
    reader = bench.client_for("notifications", tenant="acme", role="viewer")
    assert reader.delete(f"/v1/inhibitions/{created['id']}").status_code == 403
    channel = bench.channel(receiver.url, api=other)
    rule = bench.rule(channel, api=other, name=quiet["name"], sources=[feed])
    bench.handle(bench.event(feed, change(score=90)))
    assert [row["phase"] for row in bench.ledger(rule, other)] == ["queued"]
    bench.deliver()


def test_a_firing_goes_on_as_long_as_matches_follow() -> None:
    planned = PlannedInhibition(
        id=UUID(int=1),
        tenant="acme",
        name="x",
        source=owned_expression("change.score > 1", "acme"),
        target=owned_expression("change.score < 1", "acme"),
        equal=(),
        hold=timedelta(minutes=10),
    )
    first = place_firing(planned, {}, START, [])
    again = place_firing(planned, {}, START + timedelta(minutes=9), [first])
    assert (again.id, again.starts_at) == (first.id, START)
    assert again.ends_at == START + timedelta(minutes=19)
    assert place_firing(planned, {}, START, [first]) == first, "a repetition changes nothing"
    late = place_firing(planned, {}, START + timedelta(hours=1), [again])
    assert late.id != first.id
