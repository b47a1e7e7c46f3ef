"""Sweeps: one consumer at a time, at their interval, whatever one of them raises."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import sqlalchemy as sa

from shared.database import PLATFORM, Database, database
from shared.errors import Unavailable
from shared.runtime.process import load_sweeps
from shared.runtime.sweeps import Sweep, SweepThreads, run_sweep
from shared.settings import SERVICES, Settings

HOUR = 3600.0


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    own = database("feeds")
    yield own
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM sweep"))


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def row(own: Database, name: str) -> sa.Row[tuple[object, ...]]:
    with own.transaction(PLATFORM) as session:
        query = sa.text(
            "SELECT holder, error, finished_at IS NOT NULL AS is_finished, due_at > now() AS rests"
            " FROM sweep WHERE name = :name"
        )
        return session.execute(query, {"name": name}).one()


def test_a_sweep_runs_when_it_is_due_and_not_before(own: Database) -> None:
    runs: list[Database] = []
    sweep = Sweep("counted", HOUR, runs.append)
    assert run_sweep(own, sweep)
    assert not run_sweep(own, sweep)
    assert runs == [own]
    assert tuple(row(own, "counted")) == (None, None, True, True)


def test_two_consumers_do_not_run_a_sweep_at_once(own: Database) -> None:
    begun = threading.Event()
    end = threading.Event()

    def work(_: Database) -> None:
        begun.set()
        end.wait(20)

    slow = Sweep("slow", 0.0, work)
    first = threading.Thread(target=run_sweep, args=(own, slow))
    first.start()
    assert begun.wait(10)
    assert not run_sweep(own, slow)
    end.set()
    first.join()
    assert run_sweep(own, slow)


def test_another_consumer_takes_over_from_one_that_was_lost(own: Database) -> None:
    runs: list[Database] = []
    sweep = Sweep("left", 0.0, runs.append)
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text(
                "INSERT INTO sweep (name, holder, lease_until) VALUES ('left', :h, now() + :l)"
            ),
            {"h": uuid4(), "l": "1 hour"},
        )
    assert not run_sweep(own, sweep)
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE sweep SET lease_until = now() - interval '1 second'"))
    assert run_sweep(own, sweep)
    assert runs == [own]


@pytest.mark.parametrize("error", [ValueError("a bug"), Unavailable("The queue is away.")])
def test_an_error_ends_neither_the_thread_nor_the_other_sweeps(
    own: Database, error: Exception
) -> None:
    failures: list[int] = []
    others: list[Database] = []

    def fail(_: Database) -> None:
        failures.append(1)
        raise error

    threads = SweepThreads(own, [Sweep("failing", 0.05, fail), Sweep("other", 0.05, others.append)])
    threads.start()
    wait_for(lambda: len(failures) >= 3 and len(others) >= 3)
    threads.stop()
    assert str(error).removeprefix("ValueError: ") in str(row(own, "failing").error)
    assert row(own, "other").error is None


def test_a_sweep_outlives_the_loss_of_the_database(environment: Settings) -> None:
    away = Database("postgresql://nobody:x@127.0.0.1:1/none", "feeds")
    runs: list[Database] = []
    threads = SweepThreads(away, [Sweep("counted", 0.05, runs.append)])
    threads.start()
    time.sleep(0.5)
    assert runs == []
    # The database is back: the same object finds it.
    away.engine = database("feeds").engine
    wait_for(lambda: len(runs) > 0)
    threads.stop()


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_names_its_sweeps_once(service: str) -> None:
    names = [sweep.name for sweep in load_sweeps(service)]
    assert len(names) == len(set(names))


def test_the_consumer_process_sweeps_although_its_service_reads_no_topic(
    settings: Settings, own: Database
) -> None:
    command = [sys.executable, "-m", "services.feeds", "consumer"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # our own command
    try:
        wait_for(lambda: has_finished(own, "waiting-runs"), 60.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()


def has_finished(own: Database, name: str) -> bool:
    with own.transaction(PLATFORM) as session:
        query = sa.text("SELECT finished_at FROM sweep WHERE name = :name")
        return session.execute(query, {"name": name}).scalar_one_or_none() is not None
