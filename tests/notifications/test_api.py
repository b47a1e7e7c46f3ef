"""The API: the good way, bad input with its field, roles, and other tenants."""

import json
from base64 import b64encode
from uuid import uuid4

import pytest

from tests.notifications.receiver import Answer


def problem(answer, status, field=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if field:
        assert answer.json()["field"] == field
    return answer.json()


def test_channels_from_making_to_deleting(bench, receiver):
    made = bench.channel(receiver.url, name="SOC desk")
    assert made["secret"].startswith("whsec_")
    read = bench.api.get(f"/v1/channels/{made['id']}").json()
    assert "secret" not in read
    assert read["config"] == {"url": receiver.url}
    changed = bench.api.patch(
        f"/v1/channels/{made['id']}", json={"name": "SOC desk 2", "enabled": False}
    ).json()
    assert (changed["name"], changed["enabled"], changed["config"]) == (
        "SOC desk 2",
        False,
        read["config"],
    )
    names, after = [], None
    bench.channel(receiver.url, name="A desk")
    while page := bench.api.get(
        "/v1/channels", params={"limit": 1} | ({"after": after} if after else {})
    ).json():
        names += [item["name"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert names == sorted(names)
    assert {"A desk", "SOC desk 2"} <= set(names)
    assert bench.api.delete(f"/v1/channels/{made['id']}").status_code == 204
    problem(bench.api.get(f"/v1/channels/{made['id']}"), 404)
    said = [
        json.loads(row.payload)
        for row in bench.sql("SELECT payload FROM outbox WHERE topic LIKE 'audit%'")
    ]
    actions = [one["action"] for one in said if one["target"] == made["id"]]
    assert actions == [f"notifications.channel.{verb}" for verb in ("create", "update", "delete")]
    assert made["secret"] not in json.dumps(said)


def test_secrets_are_sealed_at_rest(bench, receiver):
    secret = f"whsec_{b64encode(b'k' * 32).decode()}"
    made = bench.channel(receiver.url, secret=secret)
    assert made["secret"] == secret
    [row] = bench.sql("SELECT secret FROM channel WHERE id = :id", id=made["id"])
    assert b"kkkk" not in row.secret
    assert secret.encode() not in row.secret


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"kind": "pigeon"}, "body.kind"),
        ({"config": {}}, "body.config.url"),
        ({"config": {"url": "http://127.0.0.1:1/", "password": "x"}}, "body.config.password"),
        ({"config": {"url": "http://10.0.0.8/hook"}}, "body.config.url"),
        ({"config": {"url": "http://169.254.169.254/latest"}}, "body.config.url"),
        ({"config": {"url": "http://0xa.0.0.8/"}}, "body.config.url"),
        ({"config": {"url": "ftp://127.0.0.1/"}}, "body.config.url"),
        ({"config": {"url": "http://kim:secret@127.0.0.1/"}}, "body.config.url"),
        ({"secret": "whsec_short"}, "body.secret"),
        (
            {"kind": "log", "config": {}, "secret": f"whsec_{b64encode(b'k' * 32).decode()}"},
            "body.secret",
        ),
        ({"colour": "red"}, "body.colour"),
    ],
)
def test_a_bad_channel_is_refused_with_its_field(bench, receiver, change, field):
    body = {"name": "bad", "kind": "webhook", "config": {"url": receiver.url}} | change
    said = problem(bench.api.post("/v1/channels", json=body), 422, field)
    assert "secret@" not in json.dumps(said)


def test_a_channel_can_be_tested(bench, receiver):
    channel = bench.channel(receiver.url, enabled=False)
    sample = bench.api.post(f"/v1/channels/{channel['id']}/test").json()
    assert (sample["state"], sample["response_status"]) == ("delivered", 204)
    receiver.answers = [Answer(410)]
    sample = bench.api.post(f"/v1/channels/{channel['id']}/test").json()
    assert (sample["state"], sample["error"]["code"]) == ("failed", "channel-gone")
    assert bench.api.get(f"/v1/channels/{channel['id']}").json()["disabled_reason"] is None


def test_rules_from_making_to_deleting(bench, receiver):
    channel = bench.channel(receiver.url)
    made = bench.rule(channel, channel, name="High", min_score=80, types=["ipv4-addr"], tags=["c2"])
    assert made["channel_ids"] == [channel["id"]]
    assert made["on"] == ["new", "changed"]
    changed = bench.api.patch(
        f"/v1/rules/{made['id']}", json={"min_score": None, "sources": ["ipsum"]}
    ).json()
    assert (changed["min_score"], changed["sources"], changed["types"]) == (
        None,
        ["ipsum"],
        ["ipv4-addr"],
    )
    assert changed == bench.api.get(f"/v1/rules/{made['id']}").json()
    assert changed in bench.api.get("/v1/rules").json()["items"]
    said = problem(bench.api.delete(f"/v1/channels/{channel['id']}"), 409)
    assert "High" in said["title"]
    assert bench.api.delete(f"/v1/rules/{made['id']}").status_code == 204
    assert bench.api.delete(f"/v1/channels/{channel['id']}").status_code == 204


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"types": ["ip"]}, "body.types.0"),
        ({"min_score": 101}, "body.min_score"),
        ({"on": []}, "body.on"),
        ({"on": ["changed"]}, "body"),
        ({"name": None}, "body.name"),
        ({"channel_ids": []}, "body.channel_ids"),
        ({"channel_ids": [str(uuid4())]}, "body.channel_ids"),
    ],
)
def test_a_bad_rule_is_refused_with_its_field(bench, receiver, change, field):
    rule = bench.rule(bench.channel(receiver.url))
    body = {"name": "bad", "channel_ids": rule["channel_ids"]} | change
    problem(bench.api.post("/v1/rules", json=body), 422, field)
    problem(bench.api.patch(f"/v1/rules/{rule['id']}", json=change), 422, field)


def test_names_are_unique_within_a_tenant(bench, receiver):
    channel = bench.channel(receiver.url, name="twice")
    body = {"name": "twice", "kind": "webhook", "config": {"url": receiver.url}}
    problem(bench.api.post("/v1/channels", json=body), 409, "body.name")
    assert (
        bench.client_for("notifications", tenant="globex")
        .post("/v1/channels", json=body)
        .status_code
        == 201
    )
    bench.rule(channel, name="twice")
    problem(
        bench.api.post("/v1/rules", json={"name": "twice", "channel_ids": [channel["id"]]}),
        409,
        "body.name",
    )


def test_roles_and_tokens(bench, receiver):
    nobody = bench.client_for("notifications", role=None)
    viewer = bench.client_for("notifications", role="viewer")
    body = {"name": "roles", "kind": "log"}
    problem(nobody.get("/v1/channels"), 401)
    assert viewer.get("/v1/channels").status_code == 200
    problem(viewer.post("/v1/channels", json=body), 403)
    problem(viewer.post(f"/v1/deliveries/{uuid4()}/retry"), 403)
    problem(bench.api.post("/v1/reconcile"), 403)
    assert bench.api.post("/v1/channels", json=body).status_code == 201


def test_another_tenants_things_look_like_nothing(bench, receiver):
    operator = bench.client_for("notifications", tenant="public", role="operator")
    globex = bench.client_for("notifications", tenant="globex", role="admin")
    for owner in (operator, globex):
        channel = bench.channel(receiver.url, api=owner)
        feed = f"feed-{uuid4().hex[:6]}"
        rule = bench.rule(channel, api=owner, sources=[feed])
        bench.handle(bench.event(feed))
        [delivery] = bench.ledger(rule, owner)
        for path in (
            f"channels/{channel['id']}",
            f"rules/{rule['id']}",
            f"deliveries/{delivery['id']}",
        ):
            problem(bench.api.get(f"/v1/{path}"), 404)
        problem(bench.api.post(f"/v1/channels/{channel['id']}/test"), 404)
        problem(bench.api.post(f"/v1/deliveries/{delivery['id']}/retry"), 404)
        problem(bench.api.delete(f"/v1/rules/{rule['id']}"), 404)
        problem(
            bench.api.post("/v1/rules", json={"name": "spy", "channel_ids": [channel["id"]]}), 422
        )
        for kind, row in (("channels", channel), ("rules", rule), ("deliveries", delivery)):
            assert row["id"] not in bench.api.get(f"/v1/{kind}?limit=1000").text
    bench.deliver()


def test_the_ledger_is_paged_and_filtered(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    bench.handle(*(bench.event(feed) for _ in range(5)))
    query = {"rule_id": rule["id"], "limit": 2}
    seen, after = [], None
    for _ in range(3):
        page = bench.api.get(
            "/v1/deliveries", params=query | ({"after": after} if after else {})
        ).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
    assert after is None
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 5
    problem(bench.api.get("/v1/deliveries?state=lost"), 422, "query.state")
    problem(bench.api.get("/v1/deliveries?after=x"), 422, "query.after")
    bench.deliver()
    assert (
        bench.api.get("/v1/deliveries", params=query | {"state": "pending"}).json()["items"] == []
    )
    problem(bench.api.post(f"/v1/deliveries/{seen[0]}/retry"), 409)
