"""From an event on the log to the webhook, with a real consumer and a real worker."""

import asyncio
import statistics
import time
from contextlib import suppress
from uuid import uuid4

import pytest

import shared.runtime.celery
from services.notifications.consumers import SUBSCRIPTIONS
from services.notifications.rules.handlers import RuleMatcher
from shared.database import PLATFORM
from shared.errors import Unavailable
from shared.kafka.consumer import Consumer
from shared.kafka.producer import Publisher
from tests.notifications.conftest import change
from tests.notifications.receiver import Receiver


async def consuming(bench, steps):
    """Run the steps beside a consumer that has joined its group."""
    joined = asyncio.Event()
    task = asyncio.ensure_future(Consumer(bench.own, bench.settings, SUBSCRIPTIONS).run(joined.set))
    try:
        async with Publisher(bench.settings, "observables") as publisher:
            await asyncio.wait_for(joined.wait(), 20)
            await steps(publisher)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(check, seconds=15.0):
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.02)


def test_event_to_webhook_within_a_second_and_once(bench, receiver: Receiver):
    _, rule, feed = bench.hook(receiver, min_score=80)
    again = bench.event(feed)
    latencies = []

    async def steps(publisher):
        for _ in range(3):
            await publisher.publish(again)
        await publisher.flush()
        await asyncio.to_thread(receiver.wait_for, 1)
        for count in range(2, 22):
            started = time.time()
            await publisher.publish(bench.event(feed))
            await publisher.flush()
            received = await asyncio.to_thread(receiver.wait_for, count)
            latencies.append(received[-1].at - started)
        await until(lambda: all(row["state"] == "delivered" for row in bench.ledger(rule)))

    with bench.worker():
        asyncio.run(consuming(bench, steps))
    ledger = bench.ledger(rule)
    assert len(ledger) == len(receiver.received) == 21
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 21
    assert [row["event_id"] for row in ledger].count(again.id) == 1
    assert max(latencies) < 1.0, f"median {statistics.median(latencies):.3f} s, all {latencies}"


def test_a_rule_notifies_of_a_feed_that_is_unreachable(bench, receiver: Receiver):
    from shared.events import Event, FeedRef
    from shared.events.feeds import HEALTH, HealthChanged

    channel = bench.channel(receiver.url)
    rule = bench.rule(channel, on=["health"])
    bench.rule(channel, on=["new"])
    ref = FeedRef(uuid4(), "urlhaus")
    evidence = {"reason": "two runs in a row failed", "failed_runs": 2}
    health = HealthChanged(ref, "unreachable", "healthy", "2026-11-24T08:00:00.000Z", evidence)
    event = Event(HEALTH, health, "public", "/services/feeds")
    with bench.own.transaction(PLATFORM) as session:
        for _ in range(2):
            RuleMatcher().handle_health(session, [event])
    (row,) = bench.ledger(rule)
    match = {
        "kind": "health",
        "feed": "urlhaus",
        "state": "unreachable",
        "before": "healthy",
        **evidence,
    }
    assert bench.api.get(f"/v1/deliveries/{row['id']}").json()["matches"] == [match]


def test_an_event_is_matched_once_however_often_it_is_handled(bench, receiver, make_change):
    first = bench.channel(receiver.url)
    second = bench.channel(receiver.url)
    feed = f"feed-{uuid4().hex[:6]}"
    rule = bench.rule(first, second, sources=[feed])
    event = bench.event(
        feed,
        make_change(),
        make_change(kind="changed", score_before=10),
        make_change(kind="expired"),
    )
    for _ in range(3):
        bench.handle(event)
    ledger = bench.ledger(rule)
    assert sorted(row["channel"] for row in ledger) == sorted([first["name"], second["name"]])
    assert [row["match_count"] for row in ledger] == [1, 1]
    bench.deliver()


def test_public_events_concern_all_tenants_and_others_their_own(bench, receiver):
    globex = bench.client_for("notifications", tenant="globex", role="analyst")
    feed = f"feed-{uuid4().hex[:6]}"
    acmes = bench.rule(bench.channel(receiver.url), sources=[feed])
    globexs = bench.rule(bench.channel(receiver.url, api=globex), api=globex, sources=[feed])
    for tenant in ("public", "globex", "initech"):
        bench.handle(bench.event(feed, tenant=tenant))
    assert len(bench.ledger(acmes)) == 1
    assert len(bench.ledger(globexs, globex)) == 2
    assert bench.ledger(globexs) == [], "a foreign tenant's ledger looks empty"
    bench.deliver()
    tenants = sorted(
        received.body.split(b'"tenant":"')[1].split(b'"')[0] for received in receiver.received
    )
    assert tenants == [b"acme", b"globex", b"globex"]


def test_a_changed_rule_counts_from_the_next_event(bench, receiver):
    matcher = RuleMatcher()

    def handle(*events):
        with bench.own.transaction(PLATFORM) as session:
            matcher.handle_changes(session, events)

    channel, rule, feed = bench.hook(receiver)
    handle(bench.event(feed))
    assert len(bench.ledger(rule)) == 1
    bench.api.patch(f"/v1/rules/{rule['id']}", json={"min_score": 95})
    handle(bench.event(feed))
    assert len(bench.ledger(rule)) == 1
    bench.api.patch(f"/v1/rules/{rule['id']}", json={"min_score": None})
    bench.api.patch(f"/v1/channels/{channel['id']}", json={"enabled": False})
    handle(bench.event(feed))
    assert len(bench.ledger(rule)) == 1
    bench.api.patch(f"/v1/channels/{channel['id']}", json={"enabled": True})
    handle(bench.event(feed))
    assert len(bench.ledger(rule)) == 2
    bench.deliver()


def test_the_worker_is_woken_after_the_commit_and_not_without_one(bench, receiver, monkeypatch):
    woken = []
    monkeypatch.setattr(
        shared.runtime.celery, "enqueue_best_effort", lambda *_: woken.append(bench.ledger(rule))
    )
    _, rule, feed = bench.hook(receiver)

    def lost():
        with bench.own.transaction(PLATFORM) as session:
            RuleMatcher().handle_changes(session, [bench.event(feed)])
            raise Unavailable("the database went away")

    with pytest.raises(Unavailable):
        lost()
    assert woken == []
    with bench.own.transaction(PLATFORM) as session:
        for _ in range(2):
            with session.begin_nested():
                RuleMatcher().handle_changes(session, [bench.event(feed)])
        assert woken == [], "a savepoint is no commit"
    assert [len(seen) for seen in woken] == [2], "once, and when the rows can be seen"
    bench.deliver()


def test_a_rule_notifies_only_of_what_its_filter_matches(bench, receiver: Receiver):
    text = 'observable.value.under("example.com") || change.score == 77'
    _, rule, feed = bench.hook(receiver, filter=text)
    changes = [
        change(type="domain-name", value="www.example.com", score=10),
        change(type="domain-name", value="www.example.net", score=20),
        change(type="ipv4-addr", value="192.0.2.77", score=77),
    ]
    bench.handle(bench.event(feed, *changes))
    [delivery] = bench.ledger(rule)
    document = bench.api.get(f"/v1/deliveries/{delivery['id']}").json()
    assert [match["value"] for match in document["matches"]] == ["192.0.2.77", "www.example.com"]
