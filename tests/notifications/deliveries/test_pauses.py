"""Failing channels are paused and probed; unknown outcomes are told apart; attempts are noted."""

import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from services.notifications.pauses.probing import FAILURES
from tests.notifications.receiver import Answer


@pytest.fixture
def hangs_up() -> Iterator[str]:
    """An address that takes a request and closes the connection without an answer."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"
    server.close()


def test_a_channel_that_keeps_failing_is_paused_and_probed(bench: Any, receiver: Any) -> None:
    channel, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(500) for _ in range(40)]
    bench.handle(*[bench.event(feed) for _ in range(FAILURES)])
    bench.deliver()
    assert len(receiver.received) == FAILURES
    bench.make_due(rule)
    bench.deliver()
    assert len(receiver.received) == FAILURES, "it is left alone"
    probe = "UPDATE channel_health SET probe_at = now() WHERE channel_id = :id"
    bench.sql(probe, id=channel["id"])
    bench.deliver()
    assert len(receiver.received) == FAILURES + 1, "a probe is one delivery"
    receiver.answers = []
    bench.sql(probe, id=channel["id"])
    bench.make_due(rule)
    bench.deliver()
    assert {row["phase"] for row in bench.ledger(rule)} == {"delivered"}
    assert bench.sql("SELECT 1 FROM channel_health WHERE channel_id = :id", id=channel["id"]) == []


def test_deliveries_of_a_channel_that_is_off_wait(bench: Any, receiver: Any) -> None:
    channel, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    path = f"/v1/channels/{channel['id']}"
    bench.api.patch(path, json={"enabled": False})
    assert bench.deliver().failed == 0
    assert [row["phase"] for row in bench.ledger(rule)] == ["queued"]
    bench.api.patch(path, json={"enabled": True})
    assert bench.deliver().delivered == 1


def test_an_outcome_that_is_not_known_is_told_apart(
    bench: Any, receiver: Any, hangs_up: str
) -> None:
    channel = bench.channel(hangs_up)
    rule = bench.rule(channel, sources=["hangs up"])
    bench.handle(bench.event("hangs up"))
    assert bench.deliver().retrying == 1
    (row,) = bench.ledger(rule)
    assert (row["state"], row["phase"]) == ("pending", "unknown")
    moved = {"config": {"url": receiver.url}, "secret": channel["secret"]}
    assert bench.api.patch(f"/v1/channels/{channel['id']}", json=moved).status_code == 200
    bench.make_due(rule)
    bench.deliver()
    detail = bench.api.get(f"/v1/deliveries/{row['id']}").json()
    assert detail["phase"] == "delivered"
    assert detail["is_maybe_repeated"] is False, "a webhook recognises repeats by the id"
    outcomes = [(each["number"], each["outcome"]) for each in detail["attempt_log"]]
    assert outcomes == [(1, "unknown"), (2, "delivered")]
    assert receiver.received[0].headers["webhook-id"] == row["id"]


def test_a_refusal_is_no_unknown_outcome(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(503)]
    bench.handle(bench.event(feed))
    bench.deliver()
    (row,) = bench.ledger(rule)
    assert row["phase"] == "retrying"
    (attempt,) = bench.api.get(f"/v1/deliveries/{row['id']}").json()["attempt_log"]
    assert (attempt["outcome"], attempt["response_status"]) == ("failed", 503)
    assert attempt["error"]["code"] == "upstream-status"


def test_what_was_told_is_sent_again_to_another_channel(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver)
    other = bench.channel(receiver.url)
    bench.handle(bench.event(feed), bench.event(feed))
    bench.deliver()
    first = bench.ledger(rule)[0]
    body = {"channel_id": other["id"]}
    answer = bench.api.post(f"/v1/deliveries/{first['id']}/replay", json=body)
    assert (answer.status_code, answer.json()) == (202, {"replayed": 1})
    bench.deliver()
    time_span = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    body = {**time_span, "rule_id": rule["id"]}
    assert bench.api.post("/v1/deliveries/replay", json=body).json() == {"replayed": 2}
    bench.deliver()
    rows = bench.ledger(rule)
    assert len(rows) == len(receiver.received) == 5
    assert sorted(row["channel"] for row in rows).count(other["name"]) == 1
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 5
    wrong = {"channel_id": rule["id"]}
    refused = bench.api.post(f"/v1/deliveries/{first['id']}/replay", json=wrong)
    assert (refused.status_code, refused.json()["field"]) == (422, "channel_id")
