"""Rules over other topics than observables: filters by the event's fields, the same dry run."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from services.notifications.channel_types.wording import entries
from services.notifications.consumers import SUBSCRIPTIONS
from services.notifications.groups.windows import end_due_windows
from services.notifications.rules.handlers import RuleMatcher
from services.notifications.topics import EVENT_TOPICS, TopicName
from shared.database import PLATFORM
from shared.events import Event, FeedRef
from shared.events.feeds import HealthChanged, RunFinished
from shared.events.mitre import Released
from shared.events.notifications import Delivered
from shared.events.observables import ListNews, Trending
from shared.events.scheduler import Fired
from shared.kafka.rights import CONSUMED
from tests.notifications.channel_types.contract import notification
from tests.notifications.rules.test_dry_run import publish

FEED = FeedRef(UUID(int=1), "IPsum")
AT = "2026-11-24T08:00:00Z"
EVENTS: dict[str, tuple[Any, str]] = {
    "runs": (
        RunFinished(FEED, UUID(int=2), "failed", error={"code": "unreachable"}),
        'run.state == "failed" && run.error == "unreachable"',
    ),
    "health": (
        HealthChanged(FEED, "late", "healthy", AT, {"reason": "two days"}),
        'health.state != "healthy" && health.reason.contains("days")',
    ),
    "trends": (
        Trending("x--1", "url", "http://a.example/", ["a", "b"], 600, AT, count=5),
        'trend.kind == "value" && size(trend.feeds) >= 2 && trend.count > 4',
    ),
    "releases": (
        Released("enterprise-attack", "19.0", "18.1", added=["T1", "T2"]),
        '"T2" in release.added && has(release.previous)',
    ),
    "schedules": (
        Fired(UUID(int=3), "nightly", "feeds.tasks.start_feed", AT, AT, "missed"),
        'schedule.state in ["late", "missed"]',
    ),
    "lists": (
        ListNews("held", UUID(int=4), "firewall", "too many entries", members=9),
        'list.kind == "held" && list.members > 8',
    ),
    "deliveries": (
        Delivered(UUID(int=5), UUID(int=6), "Ours", "desk", "failed", 3, 8, {"code": "x"}),
        'delivery.state == "failed" && delivery.error == "x"',
    ),
}


def event_of(name: str, tenant: str = "acme") -> Event[Any]:
    topic = EVENT_TOPICS[name].topic
    service = topic.name.partition(".")[0]
    return Event(topic, EVENTS[name][0], tenant, f"/services/{service}", key=b"1")


def rule_over(bench: Any, receiver: Any, name: str, **values: Any) -> dict[str, Any]:
    body = {"topic": name, "filter": EVENTS[name][1], "group_by": ["source.name"], **values}
    # Who reads everything reads trends, too.
    created: dict[str, Any] = bench.rule(bench.channel(receiver.url, max_tlp="red"), **body)
    return created


def handle(bench: Any, name: str, *events: Event[Any]) -> None:
    handler = RuleMatcher().topic_handler(EVENT_TOPICS[name])
    for _ in range(2):
        with bench.own.transaction(PLATFORM) as session:
            handler(session, events)


def test_each_topic_is_read_and_tried_here() -> None:
    assert {*EVENT_TOPICS, "observables"} == set(get_args(TopicName))
    assert set(EVENTS) == set(EVENT_TOPICS)
    topics = {subscription.topic.name for subscription in SUBSCRIPTIONS}
    assert topics == set(CONSUMED["notifications"])
    assert len(topics) == len(SUBSCRIPTIONS)


@pytest.mark.parametrize("name", list(EVENTS))
def test_an_event_that_matches_is_told_once(bench: Any, receiver: Any, name: str) -> None:
    rule = rule_over(bench, receiver, name)
    other = rule_over(bench, receiver, name, filter=f"!({EVENTS[name][1]})")
    assert rule["filter_sentence"]
    handle(bench, name, event_of(name))
    bench.deliver()
    (delivery,) = bench.ledger(rule)
    assert bench.ledger(other) == []
    assert (delivery["phase"], delivery["match_count"]) == ("delivered", 1)
    (document,) = [json.loads(each.body)["data"] for each in receiver.received]
    (match,) = document["matches"]
    title = EVENT_TOPICS[name].fields[0].path
    assert (match["topic"], match["title"]) == (name, match["fields"][title])
    (group,) = bench.api.get("/v1/groups", params={"rule_id": rule["id"]}).json()["items"]
    assert group["labels"] == {"source.name": match["fields"]["source.name"]}


@pytest.mark.parametrize("name", list(EVENTS))
def test_a_dry_run_equals_the_ledger(bench: Any, receiver: Any, name: str) -> None:
    rule = rule_over(bench, receiver, name)
    events = [event_of(name) for _ in range(3)]
    publish_as(bench, events)
    for event in events:
        handle(bench, name, event)
    end_due_windows(bench.own)
    answer = bench.api.post(f"/v1/rules/{rule['id']}/dry-run", json={"hours": 1})
    assert answer.status_code == 200, answer.text
    before = answer.json()["before"]
    assert before["match_count"] == 3
    assert sorted(before["message_ids"]) == sorted(row["id"] for row in bench.ledger(rule))
    assert all(each["documents"] for each in before["messages"])
    bench.deliver()


def test_a_dry_run_shows_what_the_rules_template_writes(bench: Any, receiver: Any) -> None:
    url = {"credentials": {"url": receiver.url}}
    channel = bench.channel(receiver.url, kind="mattermost", config={}, **url)
    rule = bench.rule(channel, topic="runs", group_by=["source.name"])
    text = "The run of {{ matches[0].title }} is {{ matches[0].fields['run.state'] }}"
    path = f"/v1/rules/{rule['id']}/template"
    assert bench.api.put(path, json={"text": text}).status_code == 200
    publish_as(bench, [event_of("runs")])
    answer = bench.api.post(f"/v1/rules/{rule['id']}/dry-run", json={"hours": 1})
    (message,) = answer.json()["before"]["messages"]
    assert "The run of IPsum is failed" in "".join(message["documents"])


def publish_as(bench: Any, events: list[Event[Any]]) -> None:
    service = events[0].source.rpartition("/")[2]
    publish(bench, events, service)


def test_previews_know_what_silences_and_inhibitions_would_hold(bench: Any, receiver: Any) -> None:
    rule = rule_over(bench, receiver, "health")
    other = rule_over(bench, receiver, "health")
    handle(bench, "health", event_of("health"))
    own_filter = f'rule.name == "{rule["name"]}"'
    body = {"filter": f'source.name == "IPsum" && {own_filter}'}
    preview = bench.api.post("/v1/silences/preview", json=body).json()
    assert preview["by_rule"] == {rule["name"]: 1}
    assert preview["examples"] == [{"type": "health", "value": "IPsum", "kind": "health"}]
    # An event has no score, so that what asks for one holds none of them.
    scored = {"filter": f"change.score < 50 && {own_filter}"}
    assert bench.api.post("/v1/silences/preview", json=scored).json()["match_count"] == 0
    inhibition = {
        "name": "quiet",
        "source_filter": f'rule.name == "{other["name"]}"',
        "target_filter": own_filter,
        "equal": ["source.name"],
    }
    tried = bench.api.post("/v1/inhibitions/preview", json={"inhibition": inhibition, "hours": 1})
    assert tried.status_code == 200, tried.text
    assert (tried.json()["firing_count"], tried.json()["by_rule"]) == (1, {rule["name"]: 1})
    bench.deliver()


def test_what_is_public_is_for_all_only_where_it_is_shared(bench: Any, receiver: Any) -> None:
    for name, topic in EVENT_TOPICS.items():
        rule = rule_over(bench, receiver, name)
        handle(bench, name, event_of(name, "public"), event_of(name, "globex"))
        assert len(bench.ledger(rule)) == topic.is_shared, name
        bench.deliver()


def test_a_rule_over_deliveries_does_not_tell_of_its_own(bench: Any, receiver: Any) -> None:
    rule = rule_over(bench, receiver, "deliveries", filter="")
    data = EVENTS["deliveries"][0]
    own = Delivered(uuid4(), UUID(rule["id"]), rule["name"], "desk", "delivered", 1, 1)
    topic = EVENT_TOPICS["deliveries"].topic
    handle(bench, "deliveries", Event(topic, own, "acme", "/services/notifications", key=b"1"))
    assert bench.ledger(rule) == []
    handle(bench, "deliveries", Event(topic, data, "acme", "/services/notifications", key=b"1"))
    assert len(bench.ledger(rule)) == 1
    bench.deliver()


@pytest.mark.parametrize(("kind", "least"), [("value", "red"), ("malware", "amber")])
def test_a_trend_is_told_to_those_who_may_read_what_it_counts(
    bench: Any, receiver: Any, kind: str, least: str
) -> None:
    """The observations behind a trend may be marked, and it does not say how."""
    name = f"subject-{uuid4().hex[:6]}.example"
    trend = Trending("x--1", "url", name, ["a", "b"], 600, AT, kind=kind, subject=name, count=5)
    visible = {}
    for ceiling in ("clear", "amber", "red"):
        body = {"topic": "trends", "group_by": ["trend.subject"]}
        channel = bench.channel(f"{receiver.url}/{ceiling}", max_tlp=ceiling)
        bench.rule(channel, filter=f'trend.subject == "{name}"', **body)
    event = Event(EVENT_TOPICS["trends"].topic, trend, "acme", "/services/observables", key=b"1")
    handle(bench, "trends", event)
    bench.deliver()
    for received in receiver.received:
        visible[received.path.rpartition("/")[2]] = name.encode() in received.body
    levels = ["clear", "amber", "red"]
    assert visible == {level: levels.index(level) >= levels.index(least) for level in levels}


def test_a_silence_of_low_scores_holds_nothing_that_has_no_score(bench: Any, receiver: Any) -> None:
    rule = rule_over(bench, receiver, "runs", group_by=["event"])
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"filter": "change.score < 50", "reason": "noise", "ends_at": ends}
    silence = bench.api.post("/v1/silences", json=body)
    assert silence.status_code == 201, silence.text
    try:
        handle(bench, "runs", event_of("runs"))
        bench.deliver()
        assert [row["state"] for row in bench.ledger(rule)] == ["delivered"]
    finally:
        bench.api.delete(f"/v1/silences/{silence.json()['id']}")


def test_a_silence_holds_events_of_other_topics(bench: Any, receiver: Any) -> None:
    rule = rule_over(bench, receiver, "schedules")
    body = {"filter": f'rule.name == "{rule["name"]}"', "reason": "x"}
    bench.api.post("/v1/silences", json=body | {"ends_at": "2027-01-01T00:00:00Z"})
    handle(bench, "schedules", event_of("schedules"))
    (delivery,) = bench.ledger(rule)
    assert delivery["phase"] == "held"


@pytest.mark.parametrize(
    "values",
    [
        {"filter": "change.score > 1"},
        {"filter": 'run.sate == "failed"'},
        {"filter": "run.listed > true"},
        {"group_by": ["observable.value"]},
        {"group_by": ["run.error"]},
        {"min_score": 5},
        {"on": ["expired"]},
        {"topic": "nothing"},
    ],
    ids=["other-model", "unknown", "type", "label", "optional", "score", "kind", "topic"],
)
def test_what_the_topic_does_not_have_is_refused(
    bench: Any, receiver: Any, values: dict[str, Any]
) -> None:
    channel = bench.channel(receiver.url)
    body = {"name": uuid4().hex, "channel_ids": [channel["id"]], "topic": "runs", **values}
    answer = bench.api.post("/v1/rules", json=body)
    assert answer.status_code == 422, answer.text
    if "filter" in values:
        assert answer.json()["field"] == "filter"
        assert "^" in answer.text


def test_hostile_events_are_inert_in_messages() -> None:
    title = "http://evil.example/@here\n\u202e"
    match = EVENT_TOPICS["runs"].match(
        {"source.name": title, "run.state": ["@here"] * 99, "run.error": "http://a.example"}
    )
    (entry,) = entries(notification(match))
    text = f"{entry.value} {entry.detail}"
    assert "http://" not in text
    assert "@h" not in text
    assert text.isprintable()
