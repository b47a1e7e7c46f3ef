"""A consumer that is frozen inside a transaction is fenced: its successor applies the records."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from aiokafka.errors import KafkaError

from shared.database import PLATFORM, Database, database
from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.cluster import administrator, consumer_group
from shared.kafka.producer import Publisher
from shared.settings import Settings

SCRIPT = Path(__file__).with_name("consumer_script.py")
FENCED = 15.0
"""Seconds; the figure of the promise."""


@pytest.fixture(scope="module")
def own(settings: Settings) -> Database:
    own = database("observables")
    with own.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE observables.effect (tenant text, target text)"))
        connection.execute(sa.text("GRANT ALL ON observables.effect TO sentineliq_observables"))
    return own


@pytest.fixture
def consumers(own: Database, settings: Settings) -> Iterator[list[subprocess.Popen[bytes]]]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [subprocess.Popen([sys.executable, str(SCRIPT)], env=environ) for _ in range(2)]
    try:
        asyncio.run(wait_for_members(settings, len(running)))
        yield running
    finally:
        for process in running:
            process.send_signal(signal.SIGKILL)
            process.wait()


async def wait_for_members(settings: Settings, count: int) -> None:
    """Wait until so many consumers are in the group, and each has its partitions."""
    group = consumer_group(settings, "observables")
    async with asyncio.timeout(90), administrator(settings) as admin:
        while True:
            with suppress(KafkaError):  # a group is known when its first member comes
                (answer,) = await admin.describe_consumer_groups([group])
                _, _, state, _, _, members, *_ = answer.groups[0]
                if (state, len(members)) == ("Stable", count):
                    return
            await asyncio.sleep(0.2)


async def produce(settings: Settings, *targets: str) -> None:
    async with Publisher(settings, "observables") as publisher:
        for number, target in enumerate(targets):
            tenant = f"tenant-{number}"
            data = Recorded("kim", "feeds.create", target)
            await publisher.publish(Event(RECORDED, data, tenant, "/test", key=tenant.encode()))
        await publisher.flush()


def effects(own: Database) -> list[str]:
    with own.transaction(PLATFORM) as session:
        return sorted(session.scalars(sa.text("SELECT target FROM effect")))


def wait_until(own: Database, expected: set[str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not expected <= set(effects(own)):
        assert time.monotonic() < deadline, effects(own)
        time.sleep(0.1)


def frozen(processes: list[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
    return [
        process
        for process in processes
        if psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    ]


def sessions(own: Database) -> str:
    """What the sessions of the database do, to explain a failure."""
    query = sa.text(
        "SELECT pid, state, wait_event_type, wait_event, now() - state_change, query "
        "FROM pg_stat_activity WHERE datname = current_database()"
    )
    with own.engine.begin() as connection:
        return "\n".join(map(str, connection.execute(query)))


def test_a_frozen_consumer_is_replaced_and_fenced(
    own: Database, settings: Settings, consumers: list[subprocess.Popen[bytes]]
) -> None:
    first = [f"first-{number}" for number in range(8)]
    asyncio.run(produce(settings, *first))
    wait_until(own, set(first), 60)
    asyncio.run(produce(settings, "one-freeze"))
    deadline = time.monotonic() + 30
    while len(frozen(consumers)) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started = time.monotonic()
    # Records of the other partition, and of that which the frozen consumer has locked.
    later = [f"later-{number}" for number in range(8)]
    asyncio.run(produce(settings, *later))
    # The successor freezes on the same record: it has taken over the row that was locked.
    while len(frozen(consumers)) < 2:
        assert time.monotonic() - started < 4 * FENCED, sessions(own)
        time.sleep(0.02)
    seconds = time.monotonic() - started
    # Both wake up, and the one that was fenced changes nothing any more.
    for process in consumers:
        process.send_signal(signal.SIGCONT)
    wait_until(own, {*first, *later}, 90)
    wait_until(own, {"one-freeze"}, 90)
    assert effects(own) == sorted([*first, *later, "one-freeze"])
    # A machine that does nothing else needs 11 seconds; this one may be busy.
    assert seconds < 2 * FENCED
