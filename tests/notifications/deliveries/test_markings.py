"""No channel tells what is marked above its ceiling, whatever made the message."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifications.channel_types import channel_types
from services.notifications.channel_types.base import Notification, RenderingChannel
from services.notifications.channels.patches import validated
from services.notifications.deliveries.disclosure import MARKING_LABEL, restrict
from shared.stix.markings import MARKINGS, STRICTNESS
from tests.notifications.conftest import Bench
from tests.notifications.receiver import Receiver

LEVELS = MARKINGS[:-1]
VALUES = {marking: f"198.51.100.{place + 1}" for place, marking in enumerate(MARKINGS)}
CONFIGURATION = {
    "servers": "kafka.example:9092",
    "topic": "alerts",
    "url": "https://receiver.example.org",
    "host": "receiver.example.org",
    "sender": "intelligence@example.org",
    "to": "soc@example.org",
    "channel": "C024BE91L",
    "chat": "@soc_alerts",
    "project": "SOC",
    "customer_id": 1,
    "name": "soc.jsonl",
}
"""What the kinds of channels require."""
RENDERING = sorted(
    name for name, kind in channel_types().items() if isinstance(kind, RenderingChannel)
)


def within(ceiling: str) -> set[str]:
    highest = STRICTNESS[ceiling]
    return {value for marking, value in VALUES.items() if STRICTNESS[marking] <= highest}


def named(body: str) -> set[str]:
    """The values that a document names, defanged or not, however it is encoded."""
    plain = body.replace("[.]", ".").replace("\\u2024", ".")
    return {value for value in VALUES.values() if value in plain}


def changes(make_change: Callable[..., Any]) -> list[Any]:
    return [
        make_change(value=value, tlp=marking, id=f"ipv4-addr--{uuid4()}")
        for marking, value in VALUES.items()
    ]


@pytest.mark.parametrize("group_by", [["event"], ["source.name"], ["observable.value"]])
@pytest.mark.parametrize("level", [None, *LEVELS])
def test_a_receiver_gets_nothing_that_is_marked_above_the_ceiling(
    bench: Bench,
    receiver: Receiver,
    make_change: Callable[..., Any],
    level: str | None,
    group_by: list[str],
) -> None:
    settings = {} if level is None else {"max_tlp": level}
    channel = bench.channel(receiver.url, **settings)
    assert channel["max_tlp"] == (level or "amber+strict")
    feed = f"feed-{uuid4().hex[:6]}"
    rule = bench.rule(channel, sources=[feed], group_by=group_by, max_groups=50)
    bench.handle(bench.event(feed, *changes(make_change), tenant="acme"))
    bench.make_due(rule)
    bench.deliver()
    expected = len(MARKINGS) if group_by == ["observable.value"] else 1
    bodies = [received.body.decode() for received in receiver.wait_for(expected)]
    values = set().union(*map(named, bodies))
    assert values == within(level or "amber+strict")
    counts = [json.loads(body)["data"]["match_count"] for body in bodies]
    assert sum(counts) == len(MARKINGS)


def test_the_end_of_a_group_names_nothing_either(
    bench: Bench, receiver: Receiver, make_change: Callable[..., Any]
) -> None:
    channel = bench.channel(receiver.url, max_tlp="green")
    feed = f"feed-{uuid4().hex[:6]}"
    rule = bench.rule(channel, sources=[feed], group_by=["observable.value"])
    closed = make_change(value=VALUES["closed"], tlp="closed")
    bench.handle(bench.event(feed, closed, tenant="acme"))
    expired = make_change(value=closed.value, tlp="closed", id=closed.id, kind="expired")
    bench.handle(bench.event(feed, expired, tenant="acme"))
    for _ in range(2):
        bench.make_due(rule)
        bench.deliver()
    bodies = [received.body.decode() for received in receiver.wait_for(1)]
    assert [named(body) for body in bodies] == [set()] * len(bodies)
    kinds = [json.loads(body)["data"]["kind"] for body in bodies]
    assert kinds[0] == "open"
    assert kinds[-1] in {"open", "close"}


def test_a_ceiling_is_changed_and_checked(bench: Bench, receiver: Receiver) -> None:
    channel = bench.channel(receiver.url)
    place = f"/v1/channels/{channel['id']}"
    assert bench.api.patch(place, json={"max_tlp": "green"}).json()["max_tlp"] == "green"
    assert bench.api.patch(place, json={"name": "another name"}).json()["max_tlp"] == "green"
    for wrong in ("closed", "mauve", ""):
        answer = bench.api.patch(place, json={"max_tlp": wrong})
        assert (answer.status_code, "max_tlp" in answer.text) == (422, True)


def notification(marking: str) -> Notification:
    value = VALUES[marking]
    match = {"id": f"ipv4-addr--{UUID(int=5)}", "type": "ipv4-addr", "value": value, "kind": "new"}
    match |= {"score": 90, "tlp": marking, "tags": ["c2"]}
    labels = {"observable.value": value, "source.name": "feed"}
    if marking != "clear":
        labels[MARKING_LABEL] = marking
    return Notification(
        UUID(int=1), "acme", UUID(int=2), "rule", "feed", 1, [match], datetime.now(UTC),
        "https://siq.example.org", group_id=UUID(int=3), labels=labels,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["open", "update", "close", "summary", "digest", "reminder"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("marking", MARKINGS)
def test_every_kind_of_message_passes_the_ceiling(kind: Any, level: str, marking: str) -> None:
    message = replace(notification(marking), kind=kind)
    if kind == "close":
        message = replace(message, matches=[])
    restricted = restrict(message, channel_types()["webhook"], level)
    is_told = VALUES[marking] in within(level)
    assert (VALUES[marking] in repr(restricted)) is is_told
    assert (restricted == message) is is_told
    assert restrict(message, channel_types()["inbox"], level) == message


def test_an_unknown_level_is_closed() -> None:
    message = replace(notification("clear"), matches=[{"value": "a.example.com", "tlp": "mauve"}])
    assert restrict(message, channel_types()["webhook"], "red").matches == []


@pytest.mark.parametrize("name", RENDERING)
def test_every_kind_of_channel_writes_a_message_without_matches(name: str) -> None:
    kind = channel_types()[name]
    assert isinstance(kind, RenderingChannel)
    required = channel_types()[name].config.model_json_schema().get("required", ())
    config = validated(
        channel_types()[name].config, {each: CONFIGURATION[each] for each in required}
    )
    message = restrict(notification("closed"), channel_types()["webhook"], "red")
    parts = kind.render(message, config).parts
    assert parts
    assert [named(part.decode("utf-8", "replace")) for part in parts] == [set()] * len(parts)
