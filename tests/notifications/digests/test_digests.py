"""Digests: each due time once, by the receiver's clock."""

import json
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from services.notifications.digests.service import send_due_digests
from shared.cron import next_by_cron
from tests.notifications.conftest import change

ZONES = [
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Asia/Tokyo",
    "Asia/Shanghai",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Karachi",
    "Asia/Dubai",
    "Asia/Tehran",
    "Asia/Beirut",
    "Asia/Jerusalem",
    "Africa/Cairo",
    "Africa/Lagos",
    "Africa/Casablanca",
    "Europe/Istanbul",
    "Europe/Moscow",
    "Europe/Helsinki",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "Atlantic/Azores",
    "Atlantic/Reykjavik",
    "America/Nuuk",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Asuncion",
    "America/Halifax",
    "America/St_Johns",
    "America/New_York",
    "America/Havana",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
]


@pytest.mark.parametrize("name", ZONES)
def test_a_daily_digest_is_due_once_a_day_over_both_changes_of_the_clock(name: str) -> None:
    zone = ZoneInfo(name)
    for hour in (0, 2, 3, 8):
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        days: list[str] = []
        while moment < datetime(2027, 1, 1, tzinfo=UTC):
            moment = next_by_cron(f"30 {hour} * * *", zone, moment)
            days.append(moment.astimezone(zone).date().isoformat())
        assert len(days) == len(set(days))
        assert len(days) in (365, 366)


def digest(bench: Any, receiver: Any, **values: Any) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """A digest, a feed, and a rule whose matches of the feed wait for the digest."""
    channel = bench.channel(receiver.url)
    body = {
        "name": f"digest {uuid4().hex[:6]}",
        "cron": "0 8 * * *",
        "timezone": "Europe/Berlin",
        "channel_ids": [channel["id"]],
        **values,
    }
    answer = bench.api.post("/v1/digests", json=body)
    assert answer.status_code == 201, answer.text
    feed = f"feed-{uuid4().hex[:6]}"
    rule = bench.rule(channel, sources=[feed], digest_id=answer.json()["id"])
    return answer.json(), feed, rule


def make_due(bench: Any, created: dict[str, Any], ago: str) -> None:
    bench.sql(
        f"UPDATE digest SET next_due_at = now() - interval '{ago}' WHERE id = :id",
        id=created["id"],
    )


def test_a_digest_tells_once_what_its_rules_have_matched(bench: Any, receiver: Any) -> None:
    created, feed, rule = digest(bench, receiver)
    for number in (3, 4):
        bench.handle(bench.event(feed, *[change() for _ in range(number)]))
    assert bench.deliver().delivered == 0
    assert send_due_digests(bench.own) == 0, "it is not due"
    make_due(bench, created, "1 s")
    threads = [Thread(target=send_due_digests, args=(bench.own,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.deliver()
    (document,) = [json.loads(received.body)["data"] for received in receiver.received]
    assert (document["kind"], document["match_count"]) == ("digest", 7)
    assert "late" not in document
    view = bench.api.get(f"/v1/digests/{created['id']}").json()
    due = datetime.fromisoformat(view["next_due_at"]).astimezone(ZoneInfo("Europe/Berlin"))
    assert (due.hour, due.minute) == (8, 0)
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(hours=25)
    assert bench.ledger(rule) == [], "its rules send no messages of their own"


def test_after_an_outage_one_digest_tells_all_and_says_that_it_is_late(
    bench: Any, receiver: Any
) -> None:
    created, feed, _ = digest(bench, receiver)
    bench.handle(bench.event(feed))
    make_due(bench, created, "3 days")
    assert send_due_digests(bench.own) == 1
    assert send_due_digests(bench.own) == 0
    bench.deliver()
    (document,) = [json.loads(received.body)["data"] for received in receiver.received]
    assert (document["match_count"], document["late"]) == (1, True)


def test_a_digest_that_cannot_be_told_holds_no_other(bench: Any, receiver: Any) -> None:
    """Its zone is not in the time-zone data any more."""
    bad, bad_feed, _ = digest(bench, receiver)
    good, feed, _ = digest(bench, receiver)
    bench.handle(bench.event(bad_feed), bench.event(feed))
    bench.sql("UPDATE digest SET timezone = 'Europe/Atlantis' WHERE id = :id", id=bad["id"])
    make_due(bench, bad, "2 min")
    make_due(bench, good, "1 s")
    assert send_due_digests(bench.own) == 1
    bench.deliver()
    (document,) = [json.loads(received.body)["data"] for received in receiver.received]
    assert document["rule"]["id"] == good["id"]
    bench.sql("UPDATE digest SET timezone = 'Europe/Vienna' WHERE id = :id", id=bad["id"])
    assert send_due_digests(bench.own) == 1
    bench.deliver()
    assert len(receiver.received) == 2


def test_nothing_is_sent_when_nothing_was_matched(bench: Any, receiver: Any) -> None:
    created, _, _ = digest(bench, receiver)
    make_due(bench, created, "1 s")
    assert send_due_digests(bench.own) == 1
    assert bench.deliver().delivered == 0
    assert receiver.received == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"cron": "* * * * *"}, "cron"),
        ({"cron": "0 8 31 2 *"}, "cron"),
        ({"cron": "0 25 * * *"}, "cron"),
        ({"timezone": "Europe/Atlantis"}, "timezone"),
        ({"channel_ids": [str(uuid4())]}, "channel_ids"),
    ],
)
def test_a_digest_that_cannot_work_is_refused(
    bench: Any, receiver: Any, values: dict[str, Any], field: str
) -> None:
    channel = bench.channel(receiver.url)
    body = {"name": "x", "cron": "0 8 * * *", "channel_ids": [channel["id"]], **values}
    answer = bench.api.post("/v1/digests", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_digest_that_rules_wait_for_stays(bench: Any, receiver: Any) -> None:
    created, _, rule = digest(bench, receiver)
    path = f"/v1/digests/{created['id']}"
    assert bench.api.delete(path).status_code == 409
    bench.api.patch(f"/v1/rules/{rule['id']}", json={"digest_id": None})
    assert bench.api.delete(path).status_code == 204
