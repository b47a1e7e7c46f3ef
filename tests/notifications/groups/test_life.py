"""Groups as rows: from events to messages, their counts, their closing, and who is reminded."""

import json
import time
from threading import Thread
from typing import Any
from uuid import uuid4

from services.notifications.groups.windows import end_due_windows, remind_of_groups
from services.notifications.rules.handlers import RuleMatcher
from shared.database import PLATFORM
from shared.events import Event, FeedRef
from shared.events.feeds import HEALTH, HealthChanged
from tests.notifications.conftest import change
from tests.notifications.receiver import Answer


def end_windows(bench: Any, rule: dict[str, Any], seconds: int = 3600) -> None:
    """Let time pass for a rule's groups: their openings and windows move into the past."""
    moved = f"interval '{seconds} s'"
    bench.sql(
        f"UPDATE match_group SET window_ends_at = window_ends_at - {moved},"
        f" opened_at = opened_at - {moved} WHERE rule_id = :rule",
        rule=rule["id"],
    )
    bench.sql(
        f"UPDATE group_batch SET event_at = event_at - {moved} WHERE group_id IN"
        " (SELECT id FROM match_group WHERE rule_id = :rule)",
        rule=rule["id"],
    )
    end_due_windows(bench.own)


def bodies(receiver: Any) -> list[dict[str, Any]]:
    return [json.loads(received.body)["data"] for received in receiver.received]


def health(bench: Any, feed: str, state: str, before: str) -> None:
    reported = HealthChanged(FeedRef(uuid4(), feed), state, before, "2026-11-24T08:00:00.000Z", {})
    event = Event(HEALTH, reported, "public", "/services/feeds")
    with bench.own.transaction(PLATFORM) as session:
        for _ in range(2):
            RuleMatcher().handle_health(session, [event])


def test_the_events_of_a_feed_run_are_one_message(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["source.name"])
    run = uuid4()
    for number in (1, 2, 31):
        event = bench.event(feed, *[change() for _ in range(number)])
        event.data.run_id = run
        bench.handle(event)
        bench.handle(event)
    end_due_windows(bench.own)
    assert bench.ledger(rule) == [], "the group gathers"
    bench.sql(
        "UPDATE match_group SET created_at = created_at - interval '1 s' WHERE rule_id = :rule",
        rule=rule["id"],
    )
    time.sleep(1.1)
    for _ in range(2):
        end_due_windows(bench.own)
    bench.deliver()
    assert [(data["kind"], data["match_count"]) for data in bodies(receiver)] == [("open", 34)]
    (group,) = bench.api.get("/v1/groups", params={"rule_id": rule["id"]}).json()["items"]
    assert (group["window_number"], group["match_count"]) == (0, 34)


def test_a_single_event_is_told_at_once(bench: Any, receiver: Any) -> None:
    _, _, feed = bench.hook(receiver, group_by=["source.name"])
    bench.handle(bench.event(feed))
    assert bench.deliver().delivered == 1


def test_a_first_feed_of_34_matches_makes_one_message_and_one_update(
    bench: Any, receiver: Any
) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["source.name"])
    for number in (3, 1, 10, 20):
        changes = [change() for _ in range(number)]
        event = bench.event(feed, *changes)
        bench.handle(event)
        bench.handle(event)
    bench.deliver()
    assert [(data["kind"], data["match_count"]) for data in bodies(receiver)] == [("open", 3)]
    assert end_due_windows(bench.own) == 0, "the window has not ended"
    for _ in range(3):
        end_windows(bench, rule)
        bench.deliver()
    opening, update = bodies(receiver)
    assert (update["kind"], update["match_count"]) == ("update", 31)
    assert update["group"]["total_count"] == 34
    assert update["group"]["id"] == opening["group"]["id"]
    assert update["group"]["labels"] == {"source.name": feed}
    (group,) = bench.api.get("/v1/groups", params={"rule_id": rule["id"]}).json()["items"]
    assert (group["state"], group["close_reason"], group["match_count"]) == ("closed", "idle", 34)
    batches = bench.api.get(f"/v1/groups/{group['id']}/batches").json()["items"]
    assert sum(batch["match_count"] for batch in batches) == 34
    assert [batch["window_number"] for batch in batches] == [0, 1, 1, 1]


def test_fifty_thousand_matches_make_two_messages_whose_counts_add_up(
    bench: Any, receiver: Any
) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["source.name"], update_seconds=60)
    for _ in range(50):
        bench.handle(bench.event(feed, *[change() for _ in range(1000)]))
    end_windows(bench, rule)
    bench.deliver()
    counts = [data["match_count"] for data in bodies(receiver)]
    assert len(counts) == 2
    assert sum(counts) == 50_000
    assert all(len(received.body) < 20_000 for received in receiver.received)


def test_many_values_make_no_more_groups_than_configured(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["observable.value"], max_groups=5)
    values = [change(value=f"192.0.2.{number}") for number in range(200)]
    for start in range(0, 200, 20):
        bench.handle(bench.event(feed, *values[start : start + 20]))
    end_windows(bench, rule)
    bench.deliver()
    counts = [data["match_count"] for data in bodies(receiver)]
    assert sum(counts) == 200
    assert len(counts) <= 7


def test_two_consumers_at_once_open_one_group(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=[])
    events = [bench.event(feed) for _ in range(8)]
    threads = [Thread(target=bench.handle, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end_windows(bench, rule)
    bench.deliver()
    counts = [(data["kind"], data["match_count"]) for data in bodies(receiver)]
    assert sorted(counts) == [("open", 1), ("update", 7)]


def test_two_processes_that_end_windows_write_each_message_once(bench: Any, receiver: Any) -> None:
    rules = []
    for _ in range(6):
        _, rule, feed = bench.hook(receiver, group_by=["source.name"])
        bench.handle(bench.event(feed))
        bench.handle(bench.event(feed, change(), change()))
        bench.sql(
            "UPDATE match_group SET window_ends_at = now(), opened_at = now() - interval '9 s'"
            " WHERE rule_id = :rule",
            rule=rule["id"],
        )
        rules.append(rule)
    threads = [Thread(target=end_due_windows, args=(bench.own,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rule in rules:
        kinds = sorted((row["kind"], row["match_count"]) for row in bench.ledger(rule))
        assert kinds == [("open", 1), ("update", 2)]
    bench.deliver()


def test_a_feed_that_is_healthy_again_closes_what_was_told(bench: Any, receiver: Any) -> None:
    channel = bench.channel(receiver.url)
    rule = bench.rule(channel, on=["health"], group_by=["source.name"])
    health(bench, "urlhaus", "unreachable", "healthy")
    health(bench, "urlhaus", "gone", "unreachable")
    health(bench, "urlhaus", "healthy", "gone")
    end_due_windows(bench.own)
    bench.deliver()
    messages = [
        (data["kind"], data["match_count"], data.get("reason")) for data in bodies(receiver)
    ]
    assert messages == [("open", 1, None), ("close", 2, "the feed is healthy")]
    (group,) = bench.api.get("/v1/groups", params={"rule_id": rule["id"]}).json()["items"]
    assert group["state"] == "closed"


def test_no_message_about_a_group_overtakes_the_one_before(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["source.name"])
    receiver.answers = [Answer(503)]
    bench.handle(bench.event(feed))
    assert bench.deliver().retrying == 1
    for _ in range(2):
        bench.handle(bench.event(feed))
        end_windows(bench, rule)
    assert [row["kind"] for row in bench.ledger(rule)].count("update") == 2
    counts = bench.deliver()
    assert (counts.delivered, counts.retrying) == (0, 0), "the updates wait for their opening"
    bench.make_due(rule)
    assert bench.deliver().delivered == 3
    kinds = [(data["kind"], data["group"]["total_count"]) for data in bodies(receiver)[1:]]
    assert kinds == [("open", 1), ("update", 2), ("update", 3)]


def test_what_overflows_of_an_event_is_one_batch(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["observable.value"], max_groups=2)
    values = [change(value=f"198.51.100.{number}", score=number % 100) for number in range(200)]
    bench.handle(bench.event(feed, *values))
    rows = bench.sql(
        "SELECT b.match_count FROM group_batch AS b JOIN match_group AS g ON g.id = b.group_id"
        " WHERE g.rule_id = :rule ORDER BY b.match_count",
        rule=rule["id"],
    )
    assert [row.match_count for row in rows] == [1, 1, 198]
    bench.deliver()


def test_an_observable_that_expires_closes_its_group(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["observable.value"])
    value = f"{uuid4().hex}.example"
    bench.handle(bench.event(feed, change(value=value, type="domain-name")))
    end_windows(bench, rule)
    assert bench.api.get("/v1/groups", params={"rule_id": rule["id"], "open": True}).json()["items"]
    gone = change(value=value, type="domain-name", kind="expired", score_before=90, score=0)
    bench.handle(bench.event(feed, gone))
    end_due_windows(bench.own)
    bench.deliver()
    assert [data["kind"] for data in bodies(receiver)] == ["open", "close"]


def test_a_group_about_a_long_value_opens_and_closes(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["observable.value"])
    # Random, so that no index makes it shorter.
    value = "http://a.example/" + "".join(uuid4().hex for _ in range(250))
    bench.handle(bench.event(feed, change(value=value, type="url")))
    gone = change(value=value, type="url", kind="expired", score_before=90, score=0)
    bench.handle(bench.event(feed, gone))
    end_due_windows(bench.own)
    bench.deliver()
    assert [row["kind"] for row in bench.ledger(rule)] == ["close", "open"]


def test_who_does_not_acknowledge_in_time_lets_others_be_reminded(
    bench: Any, receiver: Any
) -> None:
    first = bench.channel(receiver.url)
    second = bench.channel(receiver.url)
    feed = f"feed-{uuid4().hex[:6]}"
    steps = [{"after_seconds": 60, "channel_ids": [second["id"]]}] * 2
    rule = bench.rule(
        first, sources=[feed], group_by=["source.name"], escalation=steps, update_seconds=3600
    )
    bench.handle(bench.event(feed))
    assert remind_of_groups(bench.own) == 0, "it is not due yet"
    due = "UPDATE match_group SET escalates_at = now() - interval '1 s' WHERE rule_id = :rule"
    bench.sql(due, rule=rule["id"])
    assert remind_of_groups(bench.own) == 1
    assert remind_of_groups(bench.own) == 0
    reminder = next(row for row in bench.ledger(rule) if row["kind"] == "reminder")
    assert (reminder["channel"], reminder["total_count"]) == (second["name"], 1)
    (group,) = bench.api.get("/v1/groups", params={"rule_id": rule["id"]}).json()["items"]
    for _ in range(2):
        answer = bench.api.post(f"/v1/groups/{group['id']}/acknowledge")
        assert answer.json()["acknowledged_by"]
    bench.sql(due, rule=rule["id"])
    remind_of_groups(bench.own)
    assert [row["kind"] for row in bench.ledger(rule)].count("reminder") == 1
    bench.deliver()


def test_a_restored_group_repeats_the_ids_of_its_messages(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["source.name"])
    event = bench.event(feed)
    bench.handle(event)
    ids = {row["id"] for row in bench.ledger(rule)}
    for table in ("delivery", "match_group", "notified_change"):
        bench.sql(f"DELETE FROM {table} WHERE rule_id = :rule", rule=rule["id"])
    bench.sql("DELETE FROM group_batch")
    bench.handle(event)
    assert {row["id"] for row in bench.ledger(rule)} == ids
    bench.deliver()


def test_another_tenant_sees_no_group(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["source.name"])
    bench.handle(bench.event(feed))
    (group,) = bench.api.get("/v1/groups", params={"rule_id": rule["id"]}).json()["items"]
    globex = bench.client_for("notifications", tenant="globex", role="analyst")
    assert globex.get("/v1/groups").json()["items"] == []
    for path, verb in (("", "get"), ("/batches", "get"), ("/close", "post")):
        assert getattr(globex, verb)(f"/v1/groups/{group['id']}{path}").status_code == 404
    reader = bench.client_for("notifications", tenant="acme", role="viewer")
    assert reader.post(f"/v1/groups/{group['id']}/close").status_code == 403
    assert bench.api.post(f"/v1/groups/{group['id']}/close").status_code == 200
    end_due_windows(bench.own)
    closed = bench.api.get(f"/v1/groups/{group['id']}").json()
    assert closed["state"] == "closed"
    assert closed["close_reason"].startswith("closed by ")
    bench.deliver()
