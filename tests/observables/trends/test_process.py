"""The process on a real log and database: planted trends are announced in time, and once."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
import sqlalchemy as sa

from services.observables.trends import service
from services.observables.trends.replay import OffsetClient, plan_replay
from services.observables.trends.trend import Trend
from services.observables.trends.watchdog import EXIT_CODE, SilenceTimer, lag
from shared.database import PLATFORM, Database, database
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, SOURCE, Indicator, IndicatorsObserved
from shared.events.observables import Trending
from shared.kafka.producer import Publisher
from shared.kafka.topics import bucket_key, topic_name
from shared.settings import Settings
from shared.stix import bucket, stix_id
from shared.stix.ids import observable_id

pytestmark = pytest.mark.slow

LONGEST = 40.0
"""Seconds: a machine that does nothing else needs less than ten."""

RUN = """
import os, time
from services.observables.trends import process, reader, service
from shared.database import database
from shared.errors import Unavailable
from shared.telemetry.logging import configure_logging
from shared.settings import load_settings

configure_logging("observables", "trends")
hang_after = int(os.environ.get("TEST_HANG_AFTER", "-1"))
patience = float(os.environ.get("TEST_PATIENCE", "60"))
handle = reader.LogReader.handle
initialise = reader.LogReader.__init__


async def hang_or_handle(self, *record):
    if 0 <= hang_after <= self.beats:
        time.sleep(3600)
    await handle(self, *record)


def raise_unavailable(*_):
    raise Unavailable("The database is away.")


def initialise_in_group(self, *arguments, **named):
    initialise(self, *arguments, **named)
    self.group += os.environ.get("TEST_GROUP", "")


reader.LogReader.handle = hang_or_handle
reader.LogReader.__init__ = initialise_in_group
if "TEST_UNAVAILABLE" in os.environ:
    service.announce = raise_unavailable
process.run(load_settings(), database("observables"), patience=patience)
"""


@pytest.fixture
def own(settings: Settings) -> Database:
    observables = database("observables")
    with observables.engine.begin() as connection:
        for table in ("trend", "outbox"):
            connection.execute(sa.text(f"TRUNCATE observables.{table}"))
    return observables


@contextmanager
def process(folder: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the trends, ready; ended by SIGTERM unless it ended before."""
    with ExitStack() as stack:
        ready = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        address = folder / f"{uuid4().hex[:8]}.sock"
        ready.bind(str(address))
        ready.settimeout(60)
        log = stack.enter_context((folder / "trends.log").open("a"))
        started = subprocess.Popen(
            [sys.executable, "-c", RUN],
            env={**os.environ, **environ, "NOTIFY_SOCKET": str(address)},
            stdout=log,
            stderr=log,
        )
        try:
            assert ready.recv(64) == b"READY=1", (folder / "trends.log").read_text()
            yield started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
                assert started.wait(40) == 0, (folder / "trends.log").read_text()


def chunks(
    feed: int, values: Sequence[str], at: datetime, tenant: str = "acme"
) -> list[Event[IndicatorsObserved]]:
    """A run of one feed: its values by bucket, as the feeds service sends them."""
    by_bucket: dict[int, list[Indicator]] = {}
    for value in values:
        place = bucket(observable_id("ipv4-addr", value))
        by_bucket.setdefault(place, []).append(Indicator("ipv4-addr", value))
    run = uuid4()
    observed_at = at.isoformat().replace("+00:00", "Z")
    reference = FeedRef(UUID(int=feed), f"feed {feed}")
    events = []
    for place, seen in sorted(by_bucket.items()):
        data = IndicatorsObserved(reference, run, place, 0, observed_at, seen=seen)
        events.append(Event(OBSERVED, data, tenant, SOURCE, bucket_key(place)))
    return events


def send(settings: Settings, events: Sequence[Event[IndicatorsObserved]]) -> None:
    async def publish() -> None:
        async with Publisher(settings, "feeds") as publisher:
            for event in events:
                await publisher.publish(event)
            await publisher.flush()

    asyncio.run(publish())


def addresses(network: int, count: int) -> list[str]:
    return [
        f"{network}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        for number in range(count)
    ]


def announced(own: Database) -> list[Trending]:
    """The announcements in the outbox; no relay runs here."""
    with own.transaction(PLATFORM) as session:
        payloads = session.scalars(
            sa.text("SELECT payload FROM outbox WHERE topic = 'observables.trending.v1'")
        )
        return [msgspec.json.decode(bytes(payload), type=Trending) for payload in payloads]


def announced_values(own: Database) -> list[str]:
    return [trending.value for trending in announced(own)]


def wait(check: Callable[[], object], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_a_planted_burst_is_announced_once_in_time(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    planted = "45.9.148.3"
    now = datetime.now(UTC)
    with process(tmp_path):
        for feed in range(1, 6):
            others = addresses(20 + feed, 3_000)
            at = now - timedelta(minutes=5 - feed)
            send(settings, chunks(feed, [*others[:1500], planted, *others[1500:]], at))
        wait(lambda: announced(own), LONGEST, tmp_path / "trends.log")
        for feed in range(1, 7):
            send(settings, chunks(feed, [planted], now))
        marker = "45.9.148.4"
        for feed in range(1, 6):
            send(settings, chunks(feed, [marker], now))
        wait(lambda: len(announced(own)) > 1, LONGEST, tmp_path / "trends.log")
    first, second = announced(own)
    assert (first.id, first.value, first.kind) == (stix_id("ipv4-addr", planted), planted, "value")
    assert first.feeds == [f"feed {feed}" for feed in range(1, 6)]
    assert (first.count, first.window_seconds) == (5, 600)
    assert second.value == marker


def test_killed_in_the_middle_and_started_again_it_announces_once(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    planted = [f"46.9.148.{number}" for number in range(40)]
    log = tmp_path / "trends.log"
    rounds = [chunks(feed, [*addresses(40 + feed, 2_000), *planted], now) for feed in range(1, 6)]
    with process(tmp_path) as first:
        for events in rounds[:4]:
            send(settings, events)
        # Some of the last feed's chunks are handled, some are not even sent when it dies.
        send(settings, rounds[4][:16])
        wait(lambda: announced(own), LONGEST, log)
        first.kill()
        first.wait()
    before = set(announced_values(own))
    assert 0 < len(before) < len(planted)
    send(settings, rounds[4][16:])
    with process(tmp_path):
        wait(lambda: set(announced_values(own)) >= set(planted), LONGEST, log)
        # All of it comes again, as after a crash of the feeds' worker, and changes nothing.
        for events in rounds:
            send(settings, events)
        marker = chunks(9, ["46.10.0.1"], now)
        for feed in range(1, 6):
            renamed = FeedRef(UUID(int=feed), "x")
            send(
                settings,
                [
                    replace(event, data=msgspec.structs.replace(event.data, feed=renamed))
                    for event in marker
                ],
            )
        wait(lambda: "46.10.0.1" in announced_values(own), LONGEST, log)
    assert sorted(announced_values(own)) == sorted([*planted, "46.10.0.1"])


def test_a_silent_process_is_ended_and_its_successor_announces(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    log = tmp_path / "trends.log"
    with process(tmp_path, TEST_HANG_AFTER="2", TEST_PATIENCE="3") as silent:
        for feed in range(1, 6):
            send(settings, chunks(feed, [f"47.0.0.{number}" for number in range(10)], now))
        assert silent.wait(30) == EXIT_CODE
    assert '"event": "trends.silent"' in log.read_text()
    with process(tmp_path):
        wait(lambda: len(announced(own)) == 10, LONGEST, log)


def test_an_idle_process_is_left_alone(settings: Settings, own: Database, tmp_path: Path) -> None:
    with process(tmp_path, TEST_PATIENCE="4") as idle:
        time.sleep(9)
        assert idle.poll() is None


def test_a_second_process_stands_by_and_takes_over(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    log = tmp_path / "trends.log"
    with process(tmp_path) as first, process(tmp_path):
        for feed in range(1, 4):
            send(settings, chunks(feed, ["48.0.0.1"], now))
        first.kill()
        first.wait()
        for feed in range(4, 6):
            send(settings, chunks(feed, ["48.0.0.1"], now))
        wait(lambda: announced(own), LONGEST, log)
    assert announced_values(own) == ["48.0.0.1"]


def test_without_its_database_it_waits_and_stops_when_asked(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    log = tmp_path / "trends.log"
    for feed in range(1, 6):
        send(settings, chunks(feed, ["50.0.0.1"], now))
    with process(tmp_path, TEST_UNAVAILABLE="1", TEST_PATIENCE="3") as waiting:
        wait(lambda: "trends.announce_failed" in log.read_text(), LONGEST, log)
        time.sleep(4)
        assert waiting.poll() is None, "waiting is no silence"
    with process(tmp_path):
        wait(lambda: announced(own), LONGEST, log)
    assert announced_values(own) == ["50.0.0.1"]


def test_handled_records_are_committed_and_stay_committed(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    log = tmp_path / "trends.log"
    group = f"{settings.kafka_topic_prefix}sentineliq.observables.trends"
    topic = topic_name(settings, OBSERVED.name)

    async def committed() -> list[tuple[int, int | None]]:
        async with OffsetClient(settings) as client:
            offsets = await client.offsets(group, await client.ends([topic]))
        return [(offsets[place].end, offsets[place].committed) for place in sorted(offsets)]

    with process(tmp_path):
        for feed in range(1, 6):
            send(settings, chunks(feed, addresses(51, 500), now))
        wait(
            lambda: sum(value.startswith("51.") for value in announced_values(own)) == 500,
            LONGEST,
            log,
        )
    before = asyncio.run(committed())
    assert all(end == at for end, at in before)
    planned = asyncio.run(plan_replay(settings, group, [(topic, 0), (topic, 1)], time.time()))
    assert all(span.begin < span.resume == span.end for span in planned.spans.values())
    with process(tmp_path):
        time.sleep(4)
    assert asyncio.run(committed()) == before


def test_a_record_that_is_no_event_is_skipped(
    settings: Settings, own: Database, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    log = tmp_path / "trends.log"
    bad = chunks(1, ["49.0.0.1"], now)[0]
    with process(tmp_path):
        undated = msgspec.structs.replace(bad.data, observed_at="yesterday")
        send(settings, [replace(bad, data=undated)])
        for feed in range(1, 6):
            send(settings, chunks(feed, ["49.0.0.1"], now))
        wait(lambda: announced(own), LONGEST, log)
    assert '"event": "trends.record_skipped"' in log.read_text()


def trend(number: int, kind: str = "value", tenant: str = "acme") -> Trend:
    type_ = "ipv4-addr" if kind == "value" else None
    subjects = {"value": f"192.0.2.{number}", "malware": f"family {number}", "as": f"AS{number}"}
    return Trend(tenant, kind, subjects[kind], type_, ("a", "b"), 5, None, 1_800_000_000)


def test_a_trend_is_stored_and_announced_once(own: Database) -> None:
    both = [
        trend(1),
        trend(2),
        trend(1),
        trend(1, tenant="globex"),
        trend(7, "malware"),
        trend(64496, "as"),
    ]
    with own.transaction(PLATFORM) as session:
        assert service.announce(session, both) == 5
    with own.transaction(PLATFORM) as session:
        assert service.announce(session, [*both, trend(3)]) == 1
        assert service.announce(session, []) == 0
    announcements = announced(own)
    assert len(announcements) == 6
    types = {trending.id.partition("--")[0] for trending in announcements}
    assert types == {"ipv4-addr", "malware", "autonomous-system"}
    with own.transaction(PLATFORM) as session:
        rows = session.execute(sa.text("SELECT headers, tenant FROM outbox")).all()
    assert len({dict(row.headers)["ce_id"] for row in rows}) == 6


def test_trends_are_paged_newest_first_and_by_tenant(own: Database) -> None:
    for number in range(7):
        with own.transaction(PLATFORM) as session:
            service.announce(
                session,
                [trend(number), trend(number, "malware", "public"), trend(number, tenant="globex")],
            )
    trends = []
    after = None
    while after is not None or not trends:
        page = service.list_trends(own, "acme", None, None, after, 3)
        trends += page.items
        after = page.next
    assert len(trends) == len({trend.id for trend in trends}) == 14
    times = [trend.announced_at for trend in trends]
    assert times == sorted(times, reverse=True)
    assert {trend.tenant for trend in trends} == {"acme", "public"}
    families = service.list_trends(own, "acme", "malware", None, None, 100).items
    assert {trend.kind for trend in families} == {"malware"}
    recent = service.list_trends(own, "acme", None, times[3], None, 100).items
    assert all(trend.announced_at >= times[3] for trend in recent)


def test_silence_is_told_apart_from_idleness() -> None:
    timer = SilenceTimer(60)
    assert not timer.expired(0, 0, 5)
    assert not timer.expired(59, 0, 5)
    assert timer.expired(60, 0, 5)
    assert not timer.expired(61, 1, 5), "something was handled"
    assert not timer.expired(120, 1, 0), "nothing waits"
    assert not timer.expired(170, 1, None), "the log does not answer"
    assert not timer.expired(229, 1, 3)
    assert timer.expired(230, 1, 3)
    assert lag({("a", 0): 5}, {("a", 0): 7, ("a", 1): 2, ("b", 0): 0}) == 4
