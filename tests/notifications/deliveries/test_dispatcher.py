"""Deliveries through a real webhook receiver: every result and its effect on the row."""

import json
import os
import signal
import socket
import time
from datetime import datetime
from ipaddress import ip_network
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from services.notifications.deliveries import repository
from services.notifications.deliveries.records import DeliveryOutcome
from services.notifications.deliveries.retry_policy import MAX_ATTEMPTS, WAITS, seconds_to_retry
from services.notifications.deliveries.service import wake_if_due
from shared import shutdown
from shared.database import PLATFORM
from shared.errors import UpstreamError
from shared.leases import LeaseLost
from tests.notifications.receiver import Answer, receiving


def single_delivery(bench, rule):
    [delivery] = bench.ledger(rule)
    return delivery


def verified(received, secret):
    """The document, if the signature is right and the timestamp is that of this attempt."""
    assert abs(int(received.headers["webhook-timestamp"]) - received.at) <= 3.0
    return Webhook(secret).verify(received.body, received.headers)


def seconds_until(moment):
    return datetime.fromisoformat(moment).timestamp() - time.time()


def test_an_alert_is_sent_once_signed_and_small(bench, receiver, make_change):
    channel, rule, feed = bench.hook(receiver, min_score=80)
    long = [
        make_change(score=80 + n % 20, value=f"http://a.example/{n}/" + "x" * 2000, type="url")
        for n in range(60)
    ]
    bench.handle(bench.event(feed, make_change(score=10), *long))
    counts = bench.deliver()
    assert (counts.delivered, counts.failed, counts.retrying, counts.has_more) == (1, 0, 0, False)
    [received] = receiver.received
    document = verified(received, channel["secret"])
    delivery = single_delivery(bench, rule)
    assert received.headers["webhook-id"] == document["id"] == delivery["id"]
    assert document["type"] == "notification"
    assert document["tenant"] == "acme"
    assert document["data"]["match_count"] == 60
    assert document["data"]["rule"] == {"id": rule["id"], "name": rule["name"]}
    scores = [match["score"] for match in document["data"]["matches"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 99
    assert len(scores) > 5
    assert len(received.body) < 20_000
    page = f"/console/notifications/deliveries/{delivery['id']}"
    assert document["data"]["url"] == f"{bench.settings.gateway_url}{page}"
    assert (delivery["state"], delivery["attempts"], delivery["response_status"]) == (
        "delivered",
        1,
        204,
    )
    assert len(bench.api.get(f"/v1/deliveries/{delivery['id']}").json()["matches"]) == 60
    [event] = bench.events_about(delivery["id"])
    assert json.loads(event)["state"] == "delivered"


def test_a_failure_is_tried_again_with_the_same_id_and_a_fresh_signature(bench, receiver):
    channel, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(500), Answer(404)]
    bench.handle(bench.event(feed))
    assert bench.deliver().retrying == 1
    delivery = single_delivery(bench, rule)
    assert (delivery["state"], delivery["response_status"]) == ("pending", 500)
    assert delivery["last_error"]["code"] == "upstream-status"
    assert 3 < seconds_until(delivery["next_attempt_at"]) < 7
    assert bench.deliver().delivered == 0, "not before its time"
    time.sleep(1.1)
    for _ in range(2):
        bench.make_due(rule)
        bench.deliver()
    assert (single_delivery(bench, rule)["state"], single_delivery(bench, rule)["attempts"]) == (
        "delivered",
        3,
    )
    assert {verified(received, channel["secret"])["id"] for received in receiver.received} == {
        delivery["id"]
    }
    assert len({received.headers["webhook-timestamp"] for received in receiver.received}) > 1
    assert len(bench.events_about(delivery["id"])) == 1


def test_the_receiver_may_ask_for_time(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(429, {"retry-after": "600"})]
    bench.handle(bench.event(feed))
    bench.deliver()
    assert 590 < seconds_until(single_delivery(bench, rule)["next_attempt_at"]) <= 600


def test_a_receiver_that_is_gone_switches_its_channel_off(bench, receiver):
    channel, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(410)]
    bench.handle(bench.event(feed))
    assert bench.deliver().failed == 1
    view = bench.api.get(f"/v1/channels/{channel['id']}").json()
    assert view["enabled"] is False
    assert "410" in view["disabled_reason"]
    delivery = single_delivery(bench, rule)
    assert (delivery["state"], delivery["last_error"]["code"]) == ("failed", "channel-gone")
    assert json.loads(bench.events_about(delivery["id"])[0])["error"]["upstream_status"] == "410"
    bench.handle(bench.event(feed))
    assert len(bench.ledger(rule)) == 1, "nothing is written for a channel that is off"

    on = bench.api.patch(f"/v1/channels/{channel['id']}", json={"enabled": True}).json()
    assert (on["enabled"], on["disabled_reason"]) == (True, None)
    assert bench.api.post(f"/v1/deliveries/{delivery['id']}/retry").status_code == 202
    bench.deliver()
    assert single_delivery(bench, rule)["state"] == "delivered"
    assert [received.headers["webhook-id"] for received in receiver.received] == [
        delivery["id"]
    ] * 2


def test_each_end_of_a_repeated_delivery_has_an_event_of_its_own(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(302, {"location": receiver.url})] * 2
    bench.handle(bench.event(feed))
    bench.deliver()
    delivery = single_delivery(bench, rule)
    assert bench.api.post(f"/v1/deliveries/{delivery['id']}/retry").status_code == 202
    bench.deliver()
    assert len(bench.events_about(delivery["id"])) == 2
    rows = bench.sql(
        "SELECT headers, payload FROM outbox WHERE topic = 'notifications.delivered.v1'"
    )
    ids = [dict(row.headers)["ce_id"] for row in rows if delivery["id"] in row.payload.decode()]
    assert len(set(ids)) == 2


def test_a_redirect_is_not_followed_and_final(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(302, {"location": receiver.url})]
    bench.handle(bench.event(feed))
    bench.deliver()
    delivery = single_delivery(bench, rule)
    assert (delivery["state"], delivery["response_status"]) == ("failed", 302)
    assert "redirect" in delivery["last_error"]["message"]
    assert len(receiver.received) == 1


def test_a_closed_port_is_tried_again(bench, receiver, unused_port):
    channel = bench.channel(f"http://127.0.0.1:{unused_port}/hook")
    rule = bench.rule(channel, sources=["refused"])
    bench.handle(bench.event("refused"))
    assert bench.deliver().retrying == 1
    assert single_delivery(bench, rule)["last_error"]["code"] == "upstream-unreachable"


def test_an_address_that_became_forbidden_is_refused_when_sending(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    strict = bench.settings.model_copy(update={"outbound_allow": (ip_network("10.0.0.0/8"),)})
    bench.settings = strict
    assert bench.deliver().failed == 1
    assert single_delivery(bench, rule)["last_error"]["code"] == "forbidden-target"
    assert receiver.received == []


def test_a_slow_receiver_does_not_keep_the_others_waiting(bench, receiver, second_receiver):
    _, slow, slow_feed = bench.hook(receiver)
    _, fast, fast_feed = bench.hook(second_receiver)
    receiver.answers = [Answer(delay=1.5) for _ in range(10)]
    bench.handle(
        *(bench.event(slow_feed) for _ in range(10)), *(bench.event(fast_feed) for _ in range(3))
    )
    started = time.time()
    assert bench.deliver().delivered == 13
    assert second_receiver.received[-1].at - started < 1.0
    assert {row["state"] for row in bench.ledger(slow) + bench.ledger(fast)} == {"delivered"}


def test_attempts_end_and_waits_grow():
    error = UpstreamError("down", retry_after=7.0)
    waits = [seconds_to_retry(error, attempts) for attempts in range(1, MAX_ATTEMPTS + 1)]
    assert waits[-1] is None
    for wait, expected in zip(waits[:-1], WAITS, strict=True):
        assert max(7.0, expected * 0.8) <= wait <= max(7.0, expected * 1.2)
    assert seconds_to_retry(UpstreamError("down", retry_after=1e9), 1) == 86_400
    assert seconds_to_retry(UpstreamError("no", retryable=False), 1) is None


def test_a_killed_worker_loses_nothing(bench, receiver):
    channel, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(delay=5.0)]
    with bench.worker() as process:
        bench.handle(bench.event(feed))
        receiver.wait_for(1)
        os.killpg(process.pid, signal.SIGKILL)
    delivery = single_delivery(bench, rule)
    assert (delivery["state"], delivery["attempts"]) == ("delivering", 1)
    assert bench.deliver().delivered == 0, "its lease has not ended"
    bench.make_due(rule)
    operator = bench.client_for("notifications", role="operator")
    assert operator.post("/v1/reconcile").json() == {"status": "ok", "enqueued": 1}
    assert bench.deliver().delivered == 1
    delivery = single_delivery(bench, rule)
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 2)
    assert {verified(received, channel["secret"])["id"] for received in receiver.received} == {
        delivery["id"]
    }


def test_a_worker_that_lost_its_lease_writes_nothing(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    with bench.own.transaction(PLATFORM) as session:
        [zombie] = [
            claimed
            for claimed in repository.claim(session, "acme", 100, [])
            if str(claimed.delivery.rule_id) == rule["id"]
        ]
    bench.make_due(rule)
    bench.deliver()
    with bench.own.transaction(PLATFORM) as session, pytest.raises(LeaseLost):
        repository.fail(session, zombie, {"code": "lost"}, DeliveryOutcome())
    assert single_delivery(bench, rule)["state"] == "delivered"
    assert zombie.delivery.id == UUID(single_delivery(bench, rule)["id"])


def test_a_deleted_channel_ends_its_deliveries(bench, receiver):
    channel, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    assert bench.api.delete(f"/v1/rules/{rule['id']}").status_code == 204
    assert bench.api.delete(f"/v1/channels/{channel['id']}").status_code == 204
    assert bench.deliver().failed == 1
    assert "deleted" in single_delivery(bench, rule)["last_error"]["message"]


@pytest.fixture
def unused_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def second_receiver():
    with receiving() as receiver:
        yield receiver


def test_a_worker_that_stops_claims_nothing_and_leaves_the_rest_to_another(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    shutdown.share()
    shutdown.request()
    try:
        counts = bench.deliver()
    finally:
        shutdown.share()
    assert (counts.delivered, counts.has_more) == (0, True)
    delivery = single_delivery(bench, rule)
    assert (delivery["state"], delivery["attempts"]) == ("pending", 0)
    assert bench.deliver().delivered == 1


def test_a_full_broker_delays_deliveries_and_refuses_nothing(bench, receiver, full_broker):
    _, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    assert wake_if_due(bench.own) == 1, "the row waits"
    assert single_delivery(bench, rule)["state"] == "pending"
    assert bench.deliver().delivered == 1
