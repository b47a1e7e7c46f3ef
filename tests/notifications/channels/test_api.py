"""Channels over the API: their life, bad input with its field, secrets, samples."""

import json
from base64 import b64encode

import pytest

from services.notifications.channel_types import exchange
from services.notifications.channels.service import SECRETS
from shared.crypto import Sealer
from shared.keys import keys_of
from tests.notifications.problems import problem
from tests.notifications.receiver import Answer


def test_channels_from_making_to_deleting(bench, receiver):
    channel = bench.channel(receiver.url, name="SOC desk")
    assert channel["secret"].startswith("whsec_")
    read = bench.api.get(f"/v1/channels/{channel['id']}").json()
    assert "secret" not in read
    assert read["config"] == {"url": receiver.url}
    changed = bench.api.patch(
        f"/v1/channels/{channel['id']}", json={"name": "SOC desk 2", "enabled": False}
    ).json()
    assert (changed["name"], changed["enabled"], changed["config"]) == (
        "SOC desk 2",
        False,
        read["config"],
    )
    names = []
    after = None
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
    assert bench.api.delete(f"/v1/channels/{channel['id']}").status_code == 204
    problem(bench.api.get(f"/v1/channels/{channel['id']}"), 404)
    audit_entries = [
        json.loads(row.payload)
        for row in bench.sql("SELECT payload FROM outbox WHERE topic LIKE 'audit%'")
    ]
    actions = [entry["action"] for entry in audit_entries if entry["target"] == channel["id"]]
    assert actions == [f"notifications.channel.{verb}" for verb in ("create", "update", "delete")]
    assert channel["secret"] not in json.dumps(audit_entries)


def test_secrets_are_sealed_at_rest(bench, receiver):
    secret = f"whsec_{b64encode(b'k' * 32).decode()}"
    channel = bench.channel(receiver.url, secret=secret)
    assert channel["secret"] == secret
    [row] = bench.sql("SELECT secret FROM channel WHERE id = :id", id=channel["id"])
    assert b"kkkk" not in row.secret
    assert secret.encode() not in row.secret


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"kind": "pigeon"}, "kind"),
        ({"config": {}}, "config.url"),
        ({"config": {"url": "http://127.0.0.1:1/", "password": "x"}}, "config.password"),
        ({"config": {"url": "http://10.0.0.8/hook"}}, "config.url"),
        ({"config": {"url": "http://169.254.169.254/latest"}}, "config.url"),
        ({"config": {"url": "http://0xa.0.0.8/"}}, "config.url"),
        ({"config": {"url": "ftp://127.0.0.1/"}}, "config.url"),
        ({"config": {"url": "http://kim:secret@127.0.0.1/"}}, "config.url"),
        ({"secret": "whsec_short"}, "secret"),
        (
            {"kind": "log", "config": {}, "secret": f"whsec_{b64encode(b'k' * 32).decode()}"},
            "secret",
        ),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_channel_is_refused_with_its_field(bench, receiver, change, field):
    body = {"name": "bad", "kind": "webhook", "config": {"url": receiver.url}} | change
    document = problem(bench.api.post("/v1/channels", json=body), 422, field)
    assert "secret@" not in json.dumps(document)


def test_a_channel_can_be_tested(bench, receiver):
    channel = bench.channel(receiver.url, enabled=False)
    sample = bench.api.post(f"/v1/channels/{channel['id']}/test").json()
    assert (sample["state"], sample["response_status"]) == ("delivered", 204)
    receiver.answers = [Answer(410)]
    sample = bench.api.post(f"/v1/channels/{channel['id']}/test").json()
    assert (sample["state"], sample["error"]["code"]) == ("failed", "channel-gone")
    assert bench.api.get(f"/v1/channels/{channel['id']}").json()["disabled_reason"] is None


def test_another_receiver_needs_a_secret_of_its_own(bench, receiver):
    channel = bench.channel(receiver.url)
    path = f"/v1/channels/{channel['id']}"
    elsewhere = {"config": {"url": "http://127.0.0.1:1/hook"}}
    document = problem(bench.api.patch(path, json=elsewhere), 422, "secret")
    assert receiver.url.rpartition("/")[0] in document["title"]
    assert bench.api.get(path).json()["config"] == {"url": receiver.url}
    same_origin = {"config": {"url": f"{receiver.url}?team=soc"}}
    assert bench.api.patch(path, json=same_origin).status_code == 200
    secret = f"whsec_{b64encode(b'n' * 32).decode()}"
    assert bench.api.patch(path, json={**elsewhere, "secret": secret}).status_code == 200
    sample = bench.api.post(f"{path}/test").json()
    assert sample["error"]["code"] != "unsealable"


def test_a_secret_of_before_still_signs(bench, receiver):
    channel = bench.channel(receiver.url)
    sealer = Sealer(keys_of(bench.settings), SECRETS)
    sealed = sealer.seal(channel["secret"], channel["id"])
    statement = "UPDATE channel SET secret = :secret WHERE id = :id RETURNING id"
    bench.sql(statement, secret=sealed, id=channel["id"])
    sample = bench.api.post(f"/v1/channels/{channel['id']}/test").json()
    assert sample["state"] == "delivered"


def test_a_name_is_resolved_before_the_channel_is_locked(bench, receiver, monkeypatch):
    channel = bench.channel(receiver.url)
    open_transactions = []

    async def resolve(host, port):
        query = (
            "SELECT count(*) AS open FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'sentineliq-notifications' "
            "AND state LIKE 'idle in transaction%'"
        )
        open_transactions.extend(row.open for row in bench.sql(query))
        return ["127.0.0.1"]

    monkeypatch.setattr(exchange, "resolve", resolve)
    path = f"/v1/channels/{channel['id']}"
    assert bench.api.patch(path, json={"config": {"url": receiver.url}}).status_code == 200
    assert open_transactions == [0]


@pytest.mark.parametrize("user", ["digest", "escalation"])
def test_a_channel_that_a_digest_or_a_reminder_uses_stays(bench, user):
    channel = bench.channel("http://127.0.0.1:1/hook")
    path = f"/v1/channels/{channel['id']}"
    hours = {"timezone": "UTC", "periods": [{"start": "22:00", "end": "06:00"}]}
    assert bench.api.put(f"{path}/quiet-hours", json=hours).status_code == 200
    body = {"name": f"{user} {channel['id']}", "channel_ids": [channel["id"]]}
    if user == "digest":
        created = bench.api.post("/v1/digests", json={**body, "cron": "0 8 * * *"}).json()
        owner = f"/v1/digests/{created['id']}"
    else:
        steps = [{"after_seconds": 60, "channel_ids": [channel["id"]]}]
        first = bench.channel("http://127.0.0.1:1/first")
        rule = bench.rule(first, name=body["name"], group_by=[], escalation=steps)
        owner = f"/v1/rules/{rule['id']}"
    refused = bench.api.delete(path)
    assert refused.status_code == 409
    assert body["name"] in refused.text
    assert bench.api.delete(owner).status_code == 204
    assert bench.api.delete(path).status_code == 204
    left = "SELECT 1 FROM quiet_hours WHERE channel_id = :id"
    assert bench.sql(left, id=channel["id"]) == []
