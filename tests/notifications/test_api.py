"""The API across rooms: names, roles, and other tenants."""

from uuid import uuid4

from tests.notifications.problems import problem


def test_names_are_unique_within_a_tenant(bench, receiver):
    channel = bench.channel(receiver.url, name="twice")
    body = {"name": "twice", "kind": "webhook", "config": {"url": receiver.url}}
    problem(bench.api.post("/v1/channels", json=body), 409, "name")
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
        "name",
    )


def test_roles_and_tokens(bench, receiver):
    anonymous = bench.client_for("notifications", role=None)
    viewer = bench.client_for("notifications", role="viewer")
    body = {"name": "roles", "kind": "log"}
    problem(anonymous.get("/v1/channels"), 401)
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
