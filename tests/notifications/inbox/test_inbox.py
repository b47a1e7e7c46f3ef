"""The inbox over the API: from a rule to marks of what was read, by tenant and by person."""

from uuid import UUID, uuid4

import pytest

from tests.notifications.problems import problem


@pytest.fixture
def message(bench):
    """A message in the inbox, and its channel."""
    channel = bench.channel("", kind="inbox", config={})
    feed = f"feed-{uuid4().hex[:6]}"
    rule = bench.rule(channel, sources=[feed], severity="high")
    for _ in range(3):
        bench.handle(bench.event(feed))
    bench.deliver()
    return rule


def _items(api, rule, **parameters):
    listed = api.get("/v1/inbox", params=parameters).json()["items"]
    return [item for item in listed if item["rule_id"] == rule["id"]]


def test_a_message_is_there_once_it_is_delivered_and_can_be_read(bench, message):
    items = _items(bench.api, message)
    assert len(items) == 3
    assert {item["severity"] for item in items} == {"high"}
    assert [item["id"] for item in items] == sorted((i["id"] for i in items), reverse=True)
    before = bench.api.get("/v1/inbox/count").json()["count"]
    for count in (1, 0):
        answer = bench.api.post(f"/v1/inbox/{items[0]['id']}/read").json()
        assert answer == {"count": count}
    assert bench.api.get("/v1/inbox/count").json()["count"] == before - 1
    assert len(_items(bench.api, message, unread=True)) == 2
    assert bench.api.post("/v1/inbox/read", params={"until": items[1]["id"]}).status_code == 200
    assert _items(bench.api, message, unread=True) == []
    [audited] = bench.sql(
        "SELECT count(*) AS n FROM outbox WHERE topic LIKE 'audit%' AND"
        " convert_from(payload, 'UTF8') LIKE :id",
        id=f"%{items[0]['id']}%",
    )
    assert audited.n == 1


def test_other_tenants_and_other_people_have_marks_of_their_own(bench, message):
    item = _items(bench.api, message)[0]
    stranger = bench.client_for("notifications", tenant="other", role="admin")
    assert _items(stranger, message) == []
    problem(stranger.post(f"/v1/inbox/{item['id']}/read"), 404)
    stranger.post("/v1/inbox/read", params={"until": str(UUID(int=2**128 - 1))})
    assert len(_items(bench.api, message, unread=True)) == 3
    operator = bench.client_for("notifications", role=None)
    assert operator.get("/v1/inbox").status_code == 401


def test_messages_of_other_channels_are_not_in_it(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    bench.deliver()
    [delivery] = bench.ledger(rule)
    assert _items(bench.api, rule) == []
    problem(bench.api.post(f"/v1/inbox/{delivery['id']}/read"), 404)


def test_pages_go_on_where_they_ended(bench, message):
    ids = []
    after = None
    for _ in range(50):
        page = bench.api.get(
            "/v1/inbox", params={"limit": 2} | ({"after": after} if after else {})
        ).json()
        ids += [item["id"] for item in page["items"] if item["rule_id"] == message["id"]]
        after = page["next"]
        if after is None:
            break
    assert len(ids) == len(set(ids)) == 3
