"""Ends of digests, silences and quiet hours: two instances, and processes killed at each statement.

What was held is told once, at the end, whoever is killed before which statement.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.notifications.digests.test_digests import digest
from tests.notifications.killed_sender import WORK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_FATAL = (3, 5, 6, 8, 12)
"""Before which statement a process is killed, one process after the other."""
_COUNT = 6


def be_killed(work: str, fatal: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.notifications.killed_sender", work, str(fatal)],
        env=dict(os.environ),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr.decode()


def end_by_two(bench: Any, work: str) -> None:
    with ThreadPoolExecutor(2) as instances:
        list(instances.map(lambda _: WORK[work](bench.own), range(2)))


def messages(receiver: Any) -> list[dict[str, Any]]:
    documents = [json.loads(received.body) for received in receiver.received]
    assert max(Counter(each["id"] for each in documents).values()) == 1
    return [each["data"] for each in documents]


def check_told_once(bench: Any, receiver: Any, work: str, kind: str) -> None:
    """Kill processes, end by two, and compare with what was held: each rule's number of matches."""
    for fatal in _FATAL:
        be_killed(work, fatal)
    end_by_two(bench, work)
    while bench.sql("SELECT 1 FROM delivery WHERE state IN ('pending', 'delivering') LIMIT 1"):
        bench.sql("UPDATE delivery SET next_attempt_at = now() WHERE state = 'pending'")
        bench.deliver()
    sent_documents = messages(receiver)
    assert {each["kind"] for each in sent_documents} == {kind}
    assert sorted(each["match_count"] for each in sent_documents) == [
        3 + 2 * n for n in range(_COUNT)
    ]
    end_by_two(bench, work)
    assert bench.deliver().delivered == 0


def hold(bench: Any, feed: str, number: int, make_change: Any) -> None:
    """Matches of two events: 3, 5, 7 and so on."""
    bench.handle(bench.event(feed, *[make_change() for _ in range(2 + number)]))
    bench.handle(bench.event(feed, *[make_change() for _ in range(1 + number)]))


def test_digests_are_told_once(bench: Any, receiver: Any, make_change: Any) -> None:
    for number in range(_COUNT):
        created, feed, _ = digest(bench, receiver)
        hold(bench, feed, number, make_change)
        bench.sql(
            "UPDATE digest SET next_due_at = now() - interval '5 min' WHERE id = :id",
            id=created["id"],
        )
    check_told_once(bench, receiver, "digests", "digest")
    assert all(each["late"] for each in messages(receiver))


def test_what_a_silence_held_is_told_once(bench: Any, receiver: Any, make_change: Any) -> None:
    for number in range(_COUNT):
        _, rule, feed = bench.hook(receiver, group_by=["source.name"])
        body = {
            "filter": f'rule.name == "{rule["name"]}"',
            "reason": "maintenance",
            "ends_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        }
        created = bench.api.post("/v1/silences", json=body).json()
        hold(bench, feed, number, make_change)
        # It ends while the service is stopped.
        bench.sql(
            "UPDATE silence SET ends_at = now() - interval '1 min' WHERE id = :id", id=created["id"]
        )
        bench.sql(
            "UPDATE match_group SET window_ends_at = now() - interval '1 min'"
            " WHERE silence_id = :id",
            id=created["id"],
        )
    assert bench.deliver().delivered == 0
    check_told_once(bench, receiver, "silences", "summary")


def test_what_quiet_hours_held_is_told_once(bench: Any, receiver: Any, make_change: Any) -> None:
    always = {"timezone": "Europe/Berlin", "periods": [{"start": "00:00", "end": "00:00"}]}
    for number in range(_COUNT):
        channel, rule, feed = bench.hook(receiver)
        path = f"/v1/channels/{channel['id']}/quiet-hours"
        assert bench.api.put(path, json=always).status_code == 200
        hold(bench, feed, number, make_change)
        assert {row["phase"] for row in bench.ledger(rule)} == {"held"}
        bench.sql(
            "UPDATE delivery SET held_until = now() - interval '1 min' WHERE rule_id = :rule",
            rule=rule["id"],
        )
    assert bench.deliver().delivered == 0
    check_told_once(bench, receiver, "quiet", "summary")
