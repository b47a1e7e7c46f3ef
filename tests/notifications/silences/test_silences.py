"""Silences hold what they match, and sum it up once at their end."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifications.deliveries.summaries import release_quiet
from services.notifications.groups.windows import end_due_windows
from tests.notifications.conftest import change


def silence(bench: Any, filter_: str, hours: float = 1) -> dict[str, Any]:
    ends_at = datetime.now(UTC) + timedelta(hours=hours)
    body = {"filter": filter_, "reason": "maintenance", "ends_at": ends_at.isoformat()}
    answer = bench.api.post("/v1/silences", json=body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def end(bench: Any, created: dict[str, Any]) -> None:
    assert bench.api.post(f"/v1/silences/{created['id']}/end").status_code == 200
    bench.sql(
        "UPDATE match_group SET window_ends_at = now() WHERE silence_id = :id", id=created["id"]
    )


@pytest.mark.parametrize("group_by", [["event"], ["source.name"]])
def test_what_a_silence_holds_is_told_once_at_its_end(
    bench: Any, receiver: Any, group_by: list[str]
) -> None:
    _, rule, feed = bench.hook(receiver, group_by=group_by)
    created = silence(bench, f'rule.name == "{rule["name"]}" && observable.value == "192.0.2.66"')
    for _ in range(3):
        bench.handle(bench.event(feed, change(value="192.0.2.66"), change(value="192.0.2.66")))
    assert bench.deliver().delivered == 0
    (delivery,) = bench.ledger(rule)
    assert (delivery["phase"], delivery["held_by"]) == ("held", f"silence {created['id']}")
    bench.handle(bench.event(feed, change(value="192.0.2.7")))
    bench.deliver()
    assert len(receiver.received) == 1, "what the silence does not match is told"
    assert bench.api.get(f"/v1/silences/{created['id']}").json()["match_count"] == 6
    end(bench, created)
    for _ in range(2):
        end_due_windows(bench.own)
        release_quiet(bench.own)
        bench.deliver()
    messages = [json.loads(received.body)["data"] for received in receiver.received]
    assert [(data["kind"], data["match_count"]) for data in messages] == [
        ("open", 1),
        ("summary", 6),
    ]
    assert "maintenance" in messages[1]["reason"] or "ended" in messages[1]["reason"]


def test_a_silence_that_matches_nothing_says_so(bench: Any, receiver: Any) -> None:
    _, _rule, feed = bench.hook(receiver)
    created = silence(bench, 'observable.value == "203.0.113.1"')
    bench.handle(bench.event(feed))
    view = bench.api.get(f"/v1/silences/{created['id']}").json()
    assert (view["state"], view["match_count"]) == ("active", 0)
    end(bench, created)
    assert bench.api.get(f"/v1/silences/{created['id']}").json()["state"] == "ended"
    assert bench.api.post(f"/v1/silences/{created['id']}/end").status_code == 409
    bench.deliver()


def test_a_preview_says_what_would_have_been_held(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed, *[change(score=number) for number in (10, 60, 90)]))
    body = {"filter": f'rule.name == "{rule["name"]}" && change.score >= 50'}
    preview = bench.api.post("/v1/silences/preview", json=body).json()
    assert (preview["match_count"], preview["by_rule"]) == (2, {rule["name"]: 2})
    assert sorted(example["score"] for example in preview["examples"]) == [60, 90]
    bench.deliver()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"filter": "observable.colour == 1"}, "filter"),
        ({"filter": 'observable.value in watchlist("nowhere")'}, "filter"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"ends_at": "2999-01-01T00:00:00Z"}, "ends_at"),
    ],
)
def test_a_silence_that_cannot_work_is_refused(
    bench: Any, changes: dict[str, str], field: str
) -> None:
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"filter": "change.score > 5", "reason": "x", "ends_at": ends_at, **changes}
    answer = bench.api.post("/v1/silences", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_another_tenant_has_nothing_to_do_with_it(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver)
    globex = bench.client_for("notifications", tenant="globex", role="analyst")
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"filter": "change.score >= 0", "reason": "theirs", "ends_at": ends_at}
    foreign = globex.post("/v1/silences", json=body).json()
    bench.handle(bench.event(feed))
    assert [row["phase"] for row in bench.ledger(rule)] == ["queued"]
    assert bench.api.get(f"/v1/silences/{foreign['id']}").status_code == 404
    assert globex.post(f"/v1/silences/{foreign['id']}/end").status_code == 200
    bench.deliver()


def test_quiet_hours_hold_and_sum_up_once(bench: Any, receiver: Any) -> None:
    channel, rule, feed = bench.hook(receiver)
    always = {"timezone": "Asia/Tokyo", "periods": [{"start": "00:00", "end": "00:00"}]}
    path = f"/v1/channels/{channel['id']}/quiet-hours"
    assert bench.api.put(path, json=always).status_code == 200
    for _ in range(3):
        bench.handle(bench.event(feed, change(), change()))
    assert bench.deliver().delivered == 0
    assert {row["phase"] for row in bench.ledger(rule)} == {"held"}
    assert release_quiet(bench.own) == 0, "they have not ended"
    bench.sql("UPDATE delivery SET held_until = now() WHERE rule_id = :rule", rule=rule["id"])
    assert release_quiet(bench.own) == 1
    assert release_quiet(bench.own) == 0
    bench.deliver()
    (document,) = [json.loads(received.body)["data"] for received in receiver.received]
    assert (document["kind"], document["match_count"]) == ("summary", 6)
    phases = [row["phase"] for row in bench.ledger(rule)]
    assert sorted(phases) == ["delivered", "silenced", "silenced", "silenced"]


def test_the_most_severe_pass_through_quiet_hours(bench: Any, receiver: Any) -> None:
    channel, _rule, feed = bench.hook(receiver, severity="critical")
    always = {"timezone": "UTC", "periods": [{"start": "00:00", "end": "00:00"}]}
    path = f"/v1/channels/{channel['id']}/quiet-hours"
    bench.api.put(path, json=always)
    bench.handle(bench.event(feed))
    assert bench.deliver().delivered == 1
    assert bench.api.get(path).json()["passing"] == ["critical"]
    assert bench.api.delete(path).status_code == 204
    assert bench.api.get(path).status_code == 404
    bad = {"timezone": "Mars/Base", "periods": [{"start": "00:00", "end": "00:00"}]}
    assert bench.api.put(path, json=bad).status_code == 422


def test_watchlists_are_their_tenants_own(bench: Any, receiver: Any) -> None:
    globex = bench.client_for("notifications", tenant="globex", role="analyst")
    name = f"ours {uuid4().hex[:6]}"
    lists = [api.post("/v1/watchlists", json={"name": name}).json() for api in (bench.api, globex)]
    for api, created, value in zip(
        (bench.api, globex), lists, ("192.0.2.0/24", "198.51.100.0/24"), strict=True
    ):
        path = f"/v1/watchlists/{created['id']}/import"
        assert api.post(path, json={"csv": value}).json()["entry_count"] == 1
    filter_ = f'observable.value in watchlist("{name}")'
    _, rule, feed = bench.hook(receiver, filter=filter_)
    bench.handle(bench.event(feed, change(value="192.0.2.9"), change(value="198.51.100.9")))
    assert [row["match_count"] for row in bench.ledger(rule)] == [1]
    path = f"/v1/watchlists/{lists[0]['id']}"
    assert bench.api.delete(path).status_code == 409, "a rule refers to it"
    entry = {"entries": [{"value": "192.0.2.9/24"}]}
    assert bench.api.post(f"{path}/entries/remove", json=entry).json()["entry_count"] == 0
    bench.handle(bench.event(feed, change(value="192.0.2.9")))
    assert len(bench.ledger(rule)) == 1, "it was taken from the list"
    assert globex.get(path).status_code == 404
    bench.api.delete(f"/v1/rules/{rule['id']}")
    assert bench.api.delete(path).status_code == 204
    bench.deliver()
