"""A burst among many other values is announced once, after kills and when the log is read again."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared.database import Database, database
from shared.events import Event
from shared.events.feeds import IndicatorsObserved
from shared.events.observables import Trending
from shared.settings import Settings
from tests.observables.trends.test_process import addresses, announced, chunks, process, send, wait

pytestmark = pytest.mark.slow

OTHERS = int(os.environ.get("SENTINELIQ_TREND_OTHERS", "200000"))
"""Raise it to a million for a thorough run."""
MARKER = "52.9.148.5"


@pytest.fixture
def own(settings: Settings) -> Database:
    return database("observables")


def runs_with(
    network: int, planted: Sequence[str], now: datetime
) -> list[list[Event[IndicatorsObserved]]]:
    """Runs of five feeds, each with its part of the others and the planted values among them."""
    part = OTHERS // 5
    runs = []
    for feed in range(1, 6):
        others = addresses(network + feed, part)
        lists = [others[start : start + 20_000] for start in range(0, part, 20_000)]
        lists[len(lists) // 2] += planted
        runs.append([event for values in lists for event in chunks(feed, values, now)])
    return runs


@pytest.mark.timeout(180 + OTHERS // 5_000)
def test_a_burst_among_many_others_is_announced_once_though_it_is_killed_and_the_log_read_again(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    log = tmp_path / "trends.log"
    planted = ["52.9.148.3", "52.9.148.4"]
    expected = {*planted, MARKER}

    def bursts() -> list[Trending]:
        return [trending for trending in announced(own) if trending.value in expected]

    def summaries() -> dict[str, tuple[str, list[str], int, int]]:
        return {
            trending.value: (
                trending.id,
                trending.feeds,
                trending.count,
                trending.window_seconds,
            )
            for trending in bursts()
        }

    runs = runs_with(60, planted, now)
    send(settings, [event for run in runs[:4] for event in run])
    with process(tmp_path) as first:
        # Killed while it reads: before the events that complete the bursts were sent, and before
        # all others were read.
        send(settings, runs[4][:20])
        first.kill()
        first.wait()
    assert bursts() == []
    send(settings, runs[4][20:])
    with process(tmp_path) as second:
        wait(bursts, 60, log)
        second.kill()
        second.wait()
    for feed in range(1, 6):
        send(settings, chunks(feed, [MARKER], now))
    with process(tmp_path):
        wait(lambda: summaries().keys() == expected, 60, log)
    before = summaries()
    assert sorted(trending.value for trending in bursts()) == sorted(expected)
    with own.engine.begin() as connection:
        for table in ("trend", "outbox"):
            connection.execute(sa.text(f"TRUNCATE observables.{table}"))
    with process(tmp_path, TEST_GROUP=".again"):
        wait(lambda: summaries().keys() == before.keys(), 60, log)
    assert summaries() == before
    assert len(bursts()) == len(before)
