"""Channels with credentials over the API, from the rule to the vendor's thread."""

import json
from uuid import uuid4

import pytest

from services.notifications.channel_types import channel_types
from tests.notifications.channel_types.vendor_server import running
from tests.notifications.channel_types.vendors import SlackVendor
from tests.notifications.groups.test_life import end_windows
from tests.notifications.problems import problem

TOKEN = "xoxb-test-token"


@pytest.fixture
def slack():
    with running(SlackVendor) as vendor:
        yield vendor


def _channel(bench, slack, **values):
    body = {
        "kind": "slack_bot",
        "config": {"channel": "C024BE91L", "url": slack.url},
        "credentials": {"token": TOKEN},
        **values,
    }
    return bench.channel("", **body)


def test_credentials_are_sealed_and_never_shown(bench, slack):
    channel = _channel(bench, slack)
    read = bench.api.get(f"/v1/channels/{channel['id']}").text
    assert TOKEN not in json.dumps(channel) + read
    [row] = bench.sql("SELECT secret FROM channel WHERE id = :id", id=channel["id"])
    assert TOKEN.encode() not in row.secret
    records = bench.sql("SELECT payload FROM outbox WHERE topic LIKE 'audit%'")
    assert not [row for row in records if TOKEN.encode() in row.payload]
    sample = bench.api.post(f"/v1/channels/{channel['id']}/test").json()
    assert sample["state"] == "delivered", sample
    assert len(slack.accepted) == 1


def test_updates_of_a_group_stand_in_its_thread(bench, slack):
    channel = _channel(bench, slack)
    feed = f"feed-{uuid4().hex[:6]}"
    rule = bench.rule(channel, sources=[feed], group_by=["source.name"])
    bench.handle(bench.event(feed))
    assert bench.deliver().delivered == 1
    [opening] = bench.ledger(rule)
    group = opening["group_id"]
    assert bench.api.post(f"/v1/groups/{group}/close").status_code == 200
    end_windows(bench, rule)
    bench.deliver()
    threads = [request.document.get("thread_ts") for request in slack.accepted]
    assert threads == [None, "1700000000.000001"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"credentials": None}, "credentials.token"),
        ({"credentials": {}}, "credentials.token"),
        ({"credentials": {"token": TOKEN, "colour": "red"}}, "credentials.colour"),
        ({"credentials": {"token": "x\ny" * 10}}, "credentials.token"),
        ({"kind": "log", "config": {}}, "credentials"),
        ({"kind": "slack", "config": {}, "credentials": {"url": "http://10.0.0.8/x"}},
         "credentials.url"),
        ({"config": {"channel": "C024BE91L", "url": "http://169.254.169.254/"}}, "config.url"),
        ({"config": {"channel": "general <!here>"}}, "config.channel"),
        ({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "secret"),
    ],
)  # fmt: skip
def test_bad_credentials_are_refused_with_their_field(bench, slack, change, field):
    body = {
        "name": f"bad {uuid4().hex[:6]}",
        "kind": "slack_bot",
        "config": {"channel": "C024BE91L", "url": slack.url},
        "credentials": {"token": TOKEN},
        **change,
    }
    answer = problem(bench.api.post("/v1/channels", json=body), 422, field)
    assert TOKEN not in json.dumps(answer)


def test_another_receiver_needs_credentials_of_its_own(bench, slack):
    path = f"/v1/channels/{_channel(bench, slack)['id']}"
    elsewhere = {"config": {"channel": "C024BE91L", "url": "http://127.0.0.1:1"}}
    problem(bench.api.patch(path, json=elsewhere), 422, "credentials")
    both = {**elsewhere, "credentials": {"token": TOKEN}}
    assert bench.api.patch(path, json=both).status_code == 200
    back = {"config": {"channel": "C9", "url": slack.url}, "credentials": {"token": TOKEN}}
    assert bench.api.patch(path, json=back).status_code == 200
    assert bench.api.post(f"{path}/test").json()["state"] == "delivered"


def test_every_kind_tells_what_its_form_needs(bench):
    kinds = {each["name"]: each for each in bench.api.get("/v1/channels/types").json()["items"]}
    assert set(kinds) == set(channel_types())
    for name, kind in kinds.items():
        assert kind["config"]["additionalProperties"] is False, name
        assert kind["summary"]
    assert kinds["slack_bot"]["credentials"]["required"] == ["token"]
    assert kinds["log"]["credentials"] is None
    assert kinds["teams"]["limits"]["bytes"] == 28 * 1024
    assert (kinds["slack_bot"]["can_thread"], kinds["slack_bot"]["can_find"]) == (True, True)
