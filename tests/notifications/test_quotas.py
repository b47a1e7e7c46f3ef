"""Quotas of the notifications service."""

from services.notifications.quotas.limits import QUOTAS
from shared.database import PLATFORM
from shared.quotas import quota_named, set_limit
from tests.notifications.conftest import Bench
from tests.notifications.receiver import Receiver


def test_rules_and_channels_beyond_the_quota_are_refused(bench: Bench, receiver: Receiver) -> None:
    api = bench.client_for("notifications", tenant="small", role="analyst")
    with bench.own.transaction(PLATFORM) as session:
        for name in ("rules", "channels"):
            set_limit(session, "small", quota_named(QUOTAS, name), 1, "ops")
    channel = bench.channel(receiver.url, api=api)
    bench.rule(channel, api=api)
    body = {"name": "second", "kind": "webhook", "config": {"url": receiver.url}}
    refused = api.post("/v1/channels", json=body)
    assert (refused.status_code, refused.json()["quota"]) == (403, "channels")
    assert (refused.json()["limit"], refused.json()["used"]) == (1, 1)
    refused = api.post("/v1/rules", json={"name": "second", "channel_ids": [channel["id"]]})
    assert (refused.status_code, refused.json()["quota"]) == (403, "rules")
