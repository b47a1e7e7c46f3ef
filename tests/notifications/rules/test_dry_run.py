"""A dry run over what was lived equals the ledger, message for message."""

import asyncio
from typing import Any

from services.notifications.groups.windows import end_due_windows
from shared.kafka.producer import Publisher
from tests.notifications.conftest import change


def publish(bench: Any, events: list[Any], service: str = "observables") -> None:
    async def send() -> None:
        async with Publisher(bench.settings, service) as publisher:
            for event in events:
                await publisher.publish(event)
                await publisher.flush()

    asyncio.run(send())


def test_a_dry_run_equals_the_ledger(bench: Any, receiver: Any) -> None:
    _, rule, feed = bench.hook(receiver, group_by=["observable.type"], min_score=50)
    events = []
    for _ in range(5):
        changes = [change(score=number) for number in range(40, 60)]
        events.append(bench.event(feed, *changes, change(type="url", value="http://a.example/")))
    publish(bench, events)
    for event in events:
        bench.handle(event)
        bench.handle(event)
    end_due_windows(bench.own)
    body = {"hours": 1, "changes": {"min_score": 59}}
    answer = bench.api.post(f"/v1/rules/{rule['id']}/dry-run", json=body)
    assert answer.status_code == 200, answer.text
    before = answer.json()["before"]
    ledger = bench.ledger(rule)
    assert before["is_complete"]
    assert sorted(before["message_ids"]) == sorted(row["id"] for row in ledger)
    lived = {row["id"]: (row["kind"], row["match_count"]) for row in ledger}
    simulated = {each["id"]: (each["kind"], each["match_count"]) for each in before["messages"]}
    assert simulated == lived
    assert before["match_count"] == 5 * 11
    assert sum(group["match_count"] for group in before["groups"]) == 5 * 11
    assert answer.json()["after"]["match_count"] == 5 * 2
    assert all(each["documents"] for each in before["messages"])
    assert len(bench.ledger(rule)) == len(ledger), "nothing was written"
    bench.deliver()


def test_a_rule_that_is_not_stored_is_tried(bench: Any, receiver: Any) -> None:
    channel = bench.channel(receiver.url)
    feed = "dry feed"
    publish(bench, [bench.event(feed, change(), change())])
    body = {"name": "tried", "channel_ids": [channel["id"]], "sources": [feed]}
    answer = bench.api.post("/v1/rules/dry-run", json={"rule": body, "hours": 1}).json()
    assert (answer["match_count"], answer["message_count"]) == (2, 1)
    assert bench.api.get("/v1/rules").json()["items"] == [] or receiver.received == []
    draft = bench.api.post("/v1/rules/dry-run", json={"rule": {"sources": [feed]}, "hours": 1})
    assert draft.status_code == 200, "neither name nor channel is needed to try"
    assert (draft.json()["match_count"], draft.json()["message_count"]) == (2, 1)
    wrong = bench.api.post("/v1/rules/dry-run", json={"rule": body | {"filter": "x == 1"}})
    assert wrong.status_code == 422
