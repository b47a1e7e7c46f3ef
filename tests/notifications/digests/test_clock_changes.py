"""Digests in forty zones over all changes of the clock of a year, by a clock that the test sets.

The service looks whenever something is due, with two instances at once. Around every second change
it is stopped over the due times. Each due time is told once, each match once, and a late one says
so.
"""

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from services.notifications.digests import repository
from services.notifications.digests.service import send_due_digests
from tests.notifications.digests.test_digests import ZONES, digest

_DAY = timedelta(days=1)
_YEAR = 2026


def clock_changes() -> list[date]:
    """The days of a year on which a clock of the zones changes."""
    days = set()
    for name in ZONES:
        zone = ZoneInfo(name)
        for number in range(364):
            moment = datetime(_YEAR, 1, 1, 12, tzinfo=UTC) + number * _DAY
            if moment.astimezone(zone).utcoffset() != (moment + _DAY).astimezone(zone).utcoffset():
                days.add((moment + _DAY).date())
    return sorted(days)


class Clock:
    """The time that the digests see."""

    def __init__(self, bench: Any, patch: pytest.MonkeyPatch) -> None:
        self._bench = bench
        self._patch = patch
        self.now = datetime(_YEAR, 1, 1, tzinfo=UTC)

    def set(self, moment: datetime) -> None:
        self.now = max(self.now, moment)
        value = sa.literal(self.now, sa.TIMESTAMP(timezone=True))
        self._patch.setattr(repository, "_NOW", value)

    def note_creation(self) -> None:
        """Deliveries of this moment were made at it."""
        self._bench.sql(
            "UPDATE delivery SET created_at = :now WHERE kind = 'digest'"
            " AND created_at > now() - interval '1 hour'",
            now=self.now,
        )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_due_time_and_each_match_is_told_once_over_the_changes_of_all_clocks(
    bench: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = clock_changes()
    assert len(changes) >= 8, "tzdata knows the changes of this year"
    clock = Clock(bench, monkeypatch)
    clock.set(datetime(_YEAR, 1, 1, tzinfo=UTC))
    zones = {}
    feeds = {}
    for number, zone in enumerate(ZONES):
        # At each hour in which clocks change, and at another one.
        cron = f"30 {number % 4} * * *"
        created, feed, _ = digest(bench, receiver, timezone=zone, cron=cron)
        zones[created["id"]] = ZoneInfo(zone)
        feeds[created["id"]] = feed
    match_counts = dict.fromkeys(zones, 0)

    def match(ids: list[str]) -> None:
        bench.handle(*[bench.event(feeds[each]) for each in ids])
        for each in ids:
            match_counts[each] += 1

    match(list(zones))
    for number, day in enumerate(changes):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        stopped = (noon - _DAY, noon + _DAY / 2) if number % 2 else None
        _live_until(bench, clock, noon + _DAY, noon - 1.5 * _DAY, stopped, match)
    _check_messages(bench, receiver, zones, match_counts)


def _live_until(
    bench: Any,
    clock: Clock,
    end: datetime,
    start: datetime,
    stopped: tuple[datetime, datetime] | None,
    match: Any,
) -> None:
    """Look for digests whenever one is due, but not while the service is stopped."""
    clock.set(start)
    while True:
        due_at = bench.sql("SELECT min(next_due_at) AS due FROM digest")[0].due
        moment = max(clock.now, due_at + timedelta(seconds=1))
        if stopped and stopped[0] <= moment < stopped[1]:
            moment = stopped[1]
        if moment > end:
            return
        clock.set(moment)
        before = {row.id: row.next_due_at for row in bench.sql("SELECT * FROM digest")}
        with ThreadPoolExecutor(2) as instances:
            counts = list(instances.map(lambda _: send_due_digests(bench.own), range(2)))
        rows = bench.sql("SELECT id, next_due_at FROM digest")
        sent = [str(row.id) for row in rows if row.next_due_at != before[row.id]]
        assert sum(counts) == len(sent) > 0
        assert all(row.next_due_at > clock.now for row in rows)
        clock.note_creation()
        match(sent)


def _check_messages(
    bench: Any, receiver: Any, zones: dict[str, ZoneInfo], match_counts: dict[str, int]
) -> None:
    rows = bench.sql("SELECT * FROM delivery WHERE kind = 'digest' ORDER BY due_at")
    by_digest = defaultdict(list)
    for row in rows:
        by_digest[str(row.rule_id)].append(row)
    while bench.sql("SELECT 1 FROM delivery WHERE state IN ('pending', 'delivering') LIMIT 1"):
        bench.sql("UPDATE delivery SET next_attempt_at = now() WHERE state = 'pending'")
        bench.deliver()
    documents = {}
    for received in receiver.received:
        document = json.loads(received.body)
        assert document["id"] not in documents, "sent twice"
        documents[document["id"]] = document["data"]
    assert set(documents) == {str(row.id) for row in rows}
    late = 0
    for id_, zone in zones.items():
        days = [row.due_at.astimezone(zone).date() for row in by_digest[id_]]
        assert len(days) == len(set(days)), (zone, days)
        # The newest match waits for the next one.
        assert sum(row.match_count for row in by_digest[id_]) == match_counts[id_] - 1, zone
        for row in by_digest[id_]:
            is_late = row.created_at - row.due_at > timedelta(minutes=1)
            assert documents[str(row.id)].get("late", False) is is_late
            late += is_late
    assert late >= len(zones)
    assert len(rows) - late >= len(zones)
