"""Beat on the real parts: PostgreSQL holds the schedules, Valkey takes the messages."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis
import sqlalchemy as sa

from services.scheduler.beat.messages import FULL_QUEUE
from services.scheduler.beat.rounds import send_pending
from services.scheduler.beat.scheduler import PostgresScheduler
from services.scheduler.beat.service import send_left_firings
from services.scheduler.schedules import repository
from services.scheduler.schedules.core_schedules import CORE_SCHEDULES, CoreSchedule
from services.scheduler.schedules.timing import Timing
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.runtime.celery import make_celery
from shared.runtime.hints import unmark

Add = Callable[..., list[UUID]]
Query = Callable[..., list[sa.Row[Any]]]
Messages = Callable[[str], list[dict[str, Any]]]
NewBeat = Callable[[], PostgresScheduler]


def until(condition: Callable[[], object], seconds: float = 10.0) -> float:
    """Seconds until the condition was true."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "not in time"
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture
def beat_process(own: Database) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `python -m services.scheduler beat`; processes that still run are killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.scheduler", "beat"]
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            cwd=Path(__file__).parents[3],
            stdout=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_five_beats_fire_each_due_time_once(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    add(count=200, every=1, late=0)
    beats = [new_beat() for _ in range(5)]
    end = time.monotonic() + 2.2

    def work(beat: PostgresScheduler) -> None:
        while time.monotonic() < end:
            time.sleep(beat.tick())

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(work, beats))
    while send_pending(beats[0]._database, beats[0]._send):
        pass
    fires = query("SELECT schedule_id, due_at, state, message_id FROM fire")
    assert {fire.state for fire in fires} == {"sent"}
    assert Counter(message["id"] for message in messages("feeds")) == Counter(
        str(fire.message_id) for fire in fires
    )
    events = query("SELECT headers FROM outbox")
    assert len(events) == len(fires) == len({(fire.schedule_id, fire.due_at) for fire in fires})
    assert len({fire.schedule_id for fire in fires}) == 200
    assert len(fires) >= 400


def test_a_message_names_its_tenant_and_actor(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    add()
    new_beat().tick()
    (message,) = messages("feeds")
    (fire,) = query("SELECT * FROM fire")
    assert message["task"] == "feeds.tasks.start_feed"
    assert (message["tenant"], message["actor"], message["argsrepr"]) == ("acme", "system", "(1,)")
    assert message["id"] == str(fire.message_id)
    assert message["traceparent"].split("-")[1] == fire.message_id.hex
    (event,) = query(
        "SELECT topic, tenant, convert_from(payload, 'UTF8')::jsonb AS data FROM outbox"
    )
    assert (event.topic, event.tenant, event.data["name"]) == (
        "scheduler.fired.v1",
        "acme",
        "nightly 1",
    )


def test_killed_between_claim_and_send_is_sent_later_once(
    beat_process: Callable[..., subprocess.Popen[bytes]],
    add: Add,
    query: Query,
    messages: Messages,
    new_beat: NewBeat,
):
    add(count=5)
    killed = beat_process(CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    until(lambda: query("SELECT 1 FROM fire WHERE tenant = 'acme'"), 60)
    killed.kill()
    killed.wait()
    assert [row.state for row in query("SELECT DISTINCT state FROM fire")] == ["pending"]
    assert messages("feeds") == []
    for beat in (new_beat(), new_beat()):
        beat.tick()
    sent = Counter(message["id"] for message in messages("feeds") if message["tenant"] == "acme")
    assert set(sent.values()) == {1}
    assert set(sent) == {
        str(row.message_id) for row in query("SELECT message_id FROM fire WHERE tenant = 'acme'")
    }
    assert len(sent) == 5


def test_bad_rows_are_switched_off_and_stop_no_other(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    add(name="zone", cron="0 0 * * *", timezone="Europe/Atlantis")
    add(name="cron", cron="0 0 99 * *")
    add(name="good", count=3)
    new_beat().tick()
    assert len(messages("feeds")) == 3
    off = query("SELECT name, disabled_reason AS reason FROM schedule WHERE NOT enabled")
    reasons = {row.name: row.reason for row in off}
    assert "Europe/Atlantis" in reasons["zone 1"]
    assert "0 0 99 * *" in reasons["cron 1"]
    assert len(reasons) == 2


def test_what_is_late_follows_its_catch_up_policy(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    (skipped,) = add(name="skip", every=60, late=3600)
    (caught_up,) = add(name="once", every=60, late=3600, catch_up="once")
    new_beat().tick()
    states = {row.schedule_id: row.state for row in query("SELECT schedule_id, state FROM fire")}
    assert states == {skipped: "missed", caught_up: "sent"}
    assert len(messages("feeds")) == 1
    states = {row.data["name"]: row.data.get("state", "fired") for row in _events(query)}
    assert states == {"skip 1": "missed", "once 1": "late"}
    (ahead,) = query(
        "SELECT bool_and(fires_at > now() AND fires_at <= now() + interval '60 s') AS ok"
        " FROM schedule"
    )
    assert ahead.ok


def _let_firings_wait(query: Query, schedule: UUID, seconds: int, actor: str = "system") -> None:
    """A firing of each of the last seconds, which no Beat could send."""
    query(
        "INSERT INTO fire (tenant, schedule_id, due_at, state, actor, fired_at, message_id)"
        " SELECT 'acme', :schedule, moment, 'pending', :actor, moment, gen_random_uuid()"
        " FROM generate_series(now() - make_interval(secs => :seconds), now(), '1 s') AS moment",
        schedule=schedule,
        seconds=seconds,
        actor=actor,
    )


@pytest.mark.parametrize("catch_up", ["skip", "once"])
def test_what_became_stale_while_the_broker_was_away_is_judged_when_it_is_sent(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat, catch_up: str
):
    (schedule,) = add(every=3600, late=-3600, catch_up=catch_up)
    _let_firings_wait(query, schedule, 75)
    new_beat().tick()
    assert len(messages("feeds")) == 1
    states = Counter(row.state for row in query("SELECT state FROM fire"))
    assert states == {"sent": 1, "missed": 75}
    (newest,) = query(
        "SELECT due_at = max(due_at) OVER () AS ok FROM fire ORDER BY due_at DESC LIMIT 1"
    )
    assert newest.ok
    states = [row.data["state"] for row in _events(query)]
    assert states == ["missed"] * 75


def test_a_single_firing_that_waited_too_long_follows_its_catch_up_policy(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    (skipped,) = add(name="skip", late=-3600)
    (caught_up,) = add(name="once", late=-3600, catch_up="once")
    for schedule in (skipped, caught_up):
        _let_firings_wait(query, schedule, 0)
    query("UPDATE fire SET fired_at = now() - interval '2 minutes'")
    new_beat().tick()
    states = {row.schedule_id: row.state for row in query("SELECT schedule_id, state FROM fire")}
    assert states == {skipped: "missed", caught_up: "sent"}


def test_what_a_person_fired_is_sent_however_long_it_waited(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    (schedule,) = add(late=-3600)
    _let_firings_wait(query, schedule, 75, actor="kim@acme.example")
    new_beat().tick()
    assert len(messages("feeds")) == 76


def test_firings_wait_while_their_queue_is_full(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat, broker: redis.Redis
):
    add()
    broker.lpush("feeds", *(["x"] * FULL_QUEUE))
    beat = new_beat()
    beat.tick()
    assert [row.state for row in query("SELECT state FROM fire")] == ["pending"]
    broker.delete("feeds")
    beat.tick()
    assert len(messages("feeds")) == 1


def test_of_the_platforms_own_firings_one_message_is_unread_at_a_time(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    add(tenant="*", name="core", every=1, late=0)
    beat = new_beat()
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        time.sleep(beat.tick())
    assert len(query("SELECT 1 FROM fire WHERE state = 'sent'")) >= 3
    (message,) = messages("feeds")
    unmark(message["task"], (1,))  # as the task does when it starts
    until(lambda: beat.tick() and len(messages("feeds")) == 2, 5.0)


def test_without_any_beat_the_sweep_sends_what_is_recorded(
    add: Add, own: Database, query: Query, messages: Messages
):
    (schedule,) = add(late=-3600)
    _let_firings_wait(query, schedule, 0, actor="kim@acme.example")
    assert send_left_firings(own) == 1
    assert send_left_firings(own) == 0
    assert len(messages("feeds")) == 1


def test_a_full_broker_delays_firings_and_stops_no_beat(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat, broker: redis.Redis
):
    add()
    beat = new_beat()
    broker.config_set("maxmemory", 1)
    try:
        assert beat.tick() == 1.0
    finally:
        broker.config_set("maxmemory", 0)
    assert [row.state for row in query("SELECT state FROM fire")] == ["pending"]
    beat.tick()
    assert len(messages("feeds")) == 1


def _events(query: Query) -> list[sa.Row[Any]]:
    return query("SELECT convert_from(payload, 'UTF8')::jsonb AS data FROM outbox")


def test_edits_are_effective_within_two_seconds(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat, client_for: Callable[..., Any]
):
    (schedule,) = add(late=-3600)
    api = client_for("scheduler")
    beat = new_beat()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(_loop, beat)
        time.sleep(0.6)
        assert api.patch(f"/v1/schedules/{schedule}", json={"every_seconds": 1}).status_code == 200
        until(lambda: messages("feeds"), 2.0)
        assert api.delete(f"/v1/schedules/{schedule}").status_code == 204
        gone = len(messages("feeds"))
        time.sleep(1.2)
        beat.stopping = True
        running.result()
    assert len(messages("feeds")) <= gone + 1


def _loop(beat: PostgresScheduler) -> None:
    while not beat.stopping:
        time.sleep(beat.tick())


def test_broker_away_delays_and_loses_nothing(
    add: Add, own: Database, query: Query, messages: Messages, restore_broker: Callable[[], None]
):
    add(count=3)
    unconnected = PostgresScheduler(make_celery("scheduler"), own)
    unconnected.ready = True
    started = time.monotonic()
    assert unconnected.tick() == 1.0
    assert time.monotonic() - started < 5
    restore_broker()
    assert [row.state for row in query("SELECT DISTINCT state FROM fire")] == ["pending"]
    assert query("SELECT 1 FROM beat")
    with pytest.raises(Unavailable, match="Beat has not ticked"):
        unconnected.check()
    connected = PostgresScheduler(make_celery("scheduler"), own)
    connected.tick()
    connected.check()
    assert len(messages("feeds")) >= 3
    connected.close()


def test_core_schedules_follow_the_code(own: Database, query: Query):
    def reconcile(*declared: CoreSchedule) -> int:
        with own.transaction(PLATFORM) as session:
            return repository.reconcile_core(session, declared)

    assert reconcile(*CORE_SCHEDULES) == len(CORE_SCHEDULES)
    assert reconcile(*CORE_SCHEDULES) == 0
    assert {row.owner for row in query("SELECT owner FROM schedule WHERE tenant = '*'")} == {"code"}
    first = CORE_SCHEDULES[0]
    query(
        "UPDATE schedule SET enabled = false, next_due_at = NULL, fires_at = NULL"
        " WHERE name = :name",
        name=first.name,
    )
    changed = CoreSchedule(first.name, first.task, Timing(every_seconds=77), ("more",))
    assert reconcile(changed) == len(CORE_SCHEDULES)
    (row,) = query("SELECT * FROM schedule")
    assert (row.every_seconds, row.args, row.enabled) == (77, ["more"], False)
    query("UPDATE schedule SET disabled_reason = 'cannot be computed'")
    assert reconcile(first) == 1
    (row,) = query("SELECT * FROM schedule")
    assert (row.every_seconds, row.enabled, row.disabled_reason) == (
        first.timing.every_seconds,
        True,
        None,
    )


def test_process_is_ready_beats_and_ends_at_once(
    beat_process: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    query: Query,
    messages: Messages,
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(60)
        process = beat_process(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert notify.recv(64) == b"READY=1"
    assert {message["task"] for message in messages("feeds")} == {
        "feeds.tasks.start_due_feeds",
        "feeds.tasks.check_feeds",
    }
    assert {message["tenant"] for message in messages("feeds")} == {"*"}
    (row,) = query("SELECT *, last_tick_at > now() - interval '5 s' AS alive FROM beat")
    assert (row.pid, row.alive, row.last_fired_at is not None) == (process.pid, True, True)
    process.terminate()
    assert process.wait(10) == 0


def test_process_that_cannot_reach_its_database_ends_at_once(
    beat_process: Callable[..., subprocess.Popen[bytes]],
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        process = beat_process(DATABASE_URL=address)
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            process.terminate()
            assert process.wait(4) == 0


def test_stopped_beat_gives_its_claims_back(
    add: Add, own: Database, messages: Messages, new_beat: NewBeat
):
    """The server ends the transaction of a process that is stopped within a claim."""
    add(count=2)
    with psycopg.connect(own.url) as stopped:
        stopped.execute("SELECT set_config('idle_in_transaction_session_timeout', '1s', true)")
        stopped.execute("SELECT * FROM scheduler.schedule FOR UPDATE")
        beat = new_beat()
        beat.tick()
        assert messages("feeds") == []
        until(lambda: beat.tick() and len(messages("feeds")) == 2, 5.0)
        with pytest.raises(psycopg.Error):
            stopped.execute("SELECT 1")


def test_woken_beat_fires_nothing_twice(
    beat_process: Callable[..., subprocess.Popen[bytes]],
    add: Add,
    query: Query,
    messages: Messages,
    new_beat: NewBeat,
):
    sleeper = beat_process()
    until(lambda: query("SELECT 1 FROM beat"), 60)
    add(count=50, every=1, late=0)
    until(lambda: len(messages("feeds")) > 50)
    sleeper.send_signal(signal.SIGSTOP)
    beat = new_beat()
    taken_over = len(messages("feeds"))
    assert until(lambda: beat.tick() and len(messages("feeds")) >= taken_over + 50) < 10
    sleeper.send_signal(signal.SIGCONT)
    until(
        lambda: query(
            "SELECT 1 FROM beat WHERE pid = :pid AND last_tick_at > now() - interval '1 s'",
            pid=sleeper.pid,
        )
    )
    time.sleep(1)
    sleeper.terminate()
    assert sleeper.wait(10) == 0
    beat.tick()
    sent = [message["id"] for message in messages("feeds") if message["tenant"] == "acme"]
    fires = query("SELECT message_id, state FROM fire WHERE tenant = 'acme'")
    assert {fire.state for fire in fires} == {"sent"}
    assert set(sent) == {str(fire.message_id) for fire in fires}
    # Only what it was sending when it was stopped can come twice, with the same id.
    assert len(sent) - len(set(sent)) <= 50


def test_two_starting_beats_make_the_core_schedules_once(
    own: Database, query: Query, broker: redis.Redis
):
    beats = [PostgresScheduler(make_celery("scheduler"), own) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda beat: beat.tick(), beats))
    assert len(query("SELECT 1 FROM schedule")) == len(CORE_SCHEDULES)
    assert broker.llen("feeds") == 2
    for beat in beats:
        beat.close()
