"""A burst among many others, on a log of its own: announced once, whatever is killed, and the same when read again."""

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
"""Up to a million, for those who have the time."""
MARKER = "52.9.148.5"


@pytest.fixture
def own(settings: Settings) -> Database:
    return database("observables")


def among_others(
    network: int, planted: Sequence[str], now: datetime
) -> list[list[Event[IndicatorsObserved]]]:
    """Runs of five feeds, each with its part of the others and in the middle of them what is planted."""
    part = OTHERS // 5
    runs = []
    for feed in range(1, 6):
        others = addresses(network + feed, part)
        lists = [others[start : start + 20_000] for start in range(0, part, 20_000)]
        lists[len(lists) // 2] += planted
        runs.append([event for each in lists for event in chunks(feed, each, now)])
    return runs


@pytest.mark.timeout(180 + OTHERS // 5_000)
def test_a_burst_among_many_others_is_announced_once_though_it_is_killed_and_the_log_read_again(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now, planted, log = datetime.now(UTC), ["52.9.148.3", "52.9.148.4"], tmp_path / "trends.log"

    def mine() -> list[Trending]:
        return [one for one in announced(own) if one.value in {*planted, MARKER}]

    def told() -> dict[str, tuple[str, list[str], int, int]]:
        return {one.value: (one.id, one.feeds, one.count, one.window_seconds) for one in mine()}

    runs = among_others(60, planted, now)
    send(settings, [event for run in runs[:4] for event in run])
    with process(tmp_path) as first:
        # Killed while it reads: before what completes the bursts was sent, and before all else was read.
        send(settings, runs[4][:20])
        first.kill()
        first.wait()
    assert mine() == []
    send(settings, runs[4][20:])
    with process(tmp_path) as second:
        wait(mine, 60, log)
        second.kill()
        second.wait()
    for feed in range(1, 6):
        send(settings, chunks(feed, [MARKER], now))
    with process(tmp_path):
        wait(lambda: told().keys() == {*planted, MARKER}, 60, log)
    said = told()
    assert sorted(one.value for one in mine()) == sorted([*planted, MARKER])
    with own.engine.begin() as connection:
        for table in ("trend", "outbox"):
            connection.execute(sa.text(f"TRUNCATE observables.{table}"))
    with process(tmp_path, TEST_GROUP=".again"):
        wait(lambda: told().keys() == said.keys(), 60, log)
    assert told() == said
    assert len(mine()) == len(said)
