"""Rules over the API: their life, and bad input with its field."""

from uuid import uuid4

import pytest

from tests.notifications.problems import problem


def test_rules_from_making_to_deleting(bench, receiver):
    channel = bench.channel(receiver.url)
    rule = bench.rule(channel, channel, name="High", min_score=80, types=["ipv4-addr"], tags=["c2"])
    assert rule["channel_ids"] == [channel["id"]]
    assert rule["on"] == ["new", "changed"]
    changed = bench.api.patch(
        f"/v1/rules/{rule['id']}", json={"min_score": None, "sources": ["ipsum"]}
    ).json()
    assert (changed["min_score"], changed["sources"], changed["types"]) == (
        None,
        ["ipsum"],
        ["ipv4-addr"],
    )
    assert changed == bench.api.get(f"/v1/rules/{rule['id']}").json()
    assert changed in bench.api.get("/v1/rules").json()["items"]
    conflict = problem(bench.api.delete(f"/v1/channels/{channel['id']}"), 409)
    assert "High" in conflict["title"]
    assert bench.api.delete(f"/v1/rules/{rule['id']}").status_code == 204
    assert bench.api.delete(f"/v1/channels/{channel['id']}").status_code == 204


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"types": ["ip"]}, "types.0"),
        ({"min_score": 101}, "min_score"),
        ({"on": []}, "on"),
        ({"on": ["changed"]}, "body"),
        ({"name": None}, "name"),
        ({"filter": "change.scor > 3"}, "filter"),
        ({"filter": 'observable.value in watchlist("ours")'}, "filter"),
        ({"filter": "x" * 4097}, "filter"),
        ({"channel_ids": []}, "channel_ids"),
        ({"channel_ids": [str(uuid4())]}, "channel_ids"),
    ],
)
def test_a_bad_rule_is_refused_with_its_field(bench, receiver, change, field):
    rule = bench.rule(bench.channel(receiver.url))
    body = {"name": "bad", "channel_ids": rule["channel_ids"]} | change
    problem(bench.api.post("/v1/rules", json=body), 422, field)
    problem(bench.api.patch(f"/v1/rules/{rule['id']}", json=change), 422, field)


def test_a_filter_is_told_in_words_and_its_mistake_at_its_place(bench, receiver):
    channel = bench.channel(receiver.url)
    text = 'observable.value.under("example.com") && change.score >= 50'
    rule = bench.rule(channel, name="Ours", filter=text)
    assert rule["filter"] == text
    assert rule["filter_sentence"] == (
        "the value is example.com or below it and the score is at least 50"
    )
    assert bench.rule(channel, name="Any")["filter_sentence"] is None
    mistake = {"filter": "change.score > 50 and true"}
    answer = bench.api.patch(f"/v1/rules/{rule['id']}", json=mistake).json()
    assert "Write && for and." in answer["title"] + answer.get("detail", "")
    assert answer["position"] == 18


def test_a_filter_makes_changes_news_without_a_score(bench, receiver):
    channel = bench.channel(receiver.url)
    body = {"name": "Moves", "on": ["changed"], "channel_ids": [channel["id"]]}
    problem(bench.api.post("/v1/rules", json=body), 422, "body")
    answer = bench.api.post("/v1/rules", json={**body, "filter": "change.score > 50"})
    assert answer.status_code == 201
