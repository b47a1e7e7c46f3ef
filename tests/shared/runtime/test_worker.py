"""A worker whose broker dies, fills up or is flushed, and one that is asked to stop."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from kombu.connection import Connection
from kombu.pidbox import Mailbox

from sentineliq.local.ports import free_ports
from sentineliq.local.valkey import Valkey
from services.mitre.imports import repository
from services.mitre.imports.models import NewImport
from shared.database import PUBLIC, Database, database
from shared.errors import Unavailable
from shared.runtime.celery import enqueue, make_celery, send_hint
from shared.runtime.liveness import PING_SECONDS, WorkerLiveness
from shared.settings import Settings, load_settings

SCRIPT = Path(__file__).with_name("worker_script.py")


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something holds; how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - started


class Broker:
    """A Valkey of its own, which a test may kill."""

    def __init__(self, folder: Path) -> None:
        self.server = Valkey(folder, free_ports(1)[0], secrets.token_hex(8))
        self.start()

    def start(self) -> None:
        self.server.prepare()
        self._process = subprocess.Popen(self.server.command())
        wait_for(self.server.is_ready, 20, "Valkey is ready")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.server.url)


class SupervisedWorker:
    """A worker that is started again whenever it ends, as a supervisor does."""

    def __init__(self, folder: Path) -> None:
        self.lines_path = folder / "lines"
        self.lines_path.touch()
        self.exit_codes: list[int] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_running)
        self._thread.start()

    def _keep_running(self) -> None:
        while not self._stopping.is_set():
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(self.lines_path)],
                env={**os.environ, "REMAP_SIGTERM": "SIGQUIT"},
            )
            self.exit_codes.append(self.process.wait())
            self._stopping.wait(0.5)

    @property
    def lines(self) -> list[str]:
        return self.lines_path.read_text().splitlines()

    def has(self, line: str) -> Callable[[], bool]:
        return lambda: line in self.lines

    def stop(self) -> None:
        self._stopping.set()
        self.process.send_signal(signal.SIGTERM)
        self._thread.join(20)
        self.process.kill()


@pytest.fixture
def broker(
    environment: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broker]:
    broker = Broker(tmp_path / "valkey")
    monkeypatch.setenv("CELERY_BROKER_URL", broker.server.url)
    load_settings.cache_clear()
    yield broker
    broker.kill()
    monkeypatch.undo()
    load_settings.cache_clear()


@pytest.fixture
def own(environment: Settings) -> Database:
    return database("mitre")


@pytest.fixture
def worker(broker: Broker, tmp_path: Path) -> Iterator[SupervisedWorker]:
    worker = SupervisedWorker(tmp_path)
    yield worker
    worker.stop()


def send(task: str, *args: object) -> None:
    app = make_celery("feeds")
    enqueue(app, f"feeds.tasks.{task}", *args, tenant="*")
    app.close()


@pytest.mark.parametrize("outage", [0.0, 5.0])
def test_a_worker_takes_messages_again_after_its_broker_was_killed_during_a_task(
    broker: Broker, worker: SupervisedWorker, outage: float
) -> None:
    send("work_long", "a", 600.0)
    wait_for(worker.has("a begins"), 60, "the task begins")
    broker.kill()
    time.sleep(outage)
    broker.start()
    send("write_line", "after")
    wait_for(worker.has("after"), 45, "the worker takes a message")
    assert "a is handed back" in worker.lines


def test_a_worker_that_is_to_stop_lets_its_tasks_hand_their_work_back(
    broker: Broker, worker: SupervisedWorker
) -> None:
    send("work_long", "a", 600.0)
    wait_for(worker.has("a begins"), 60, "the task begins")
    worker.process.send_signal(signal.SIGTERM)
    wait_for(worker.has("a is handed back"), 20, "the task hands its work back")
    wait_for(lambda: worker.exit_codes == [0], 20, "the worker ends")


def test_a_full_broker_stops_no_worker_for_good(broker: Broker, worker: SupervisedWorker) -> None:
    send("write_line", "before")
    wait_for(worker.has("before"), 60, "the worker runs")
    with broker.client() as client:
        client.config_set("maxmemory", 1)
        for attempt in (
            lambda: send("write_line", "refused"),
            lambda: send_hint(make_celery("feeds"), "feeds.tasks.run_feed", "1", tenant="*"),
        ):
            with pytest.raises(Unavailable, match="waits in the database"):
                attempt()
        time.sleep(3)
        client.config_set("maxmemory", 0)
    send("write_line", "after")
    wait_for(worker.has("after"), 30, "the worker takes a message")


def test_a_flushed_broker_forgets_the_hints_with_the_messages(
    broker: Broker, worker: SupervisedWorker
) -> None:
    send("write_line", "before")
    wait_for(worker.has("before"), 60, "the worker runs")
    app = make_celery("feeds")
    hint = ("feeds.tasks.write_line", "hinted")
    worker.process.send_signal(signal.SIGSTOP)
    assert send_hint(app, *hint, tenant="*")
    assert not send_hint(app, *hint, tenant="*"), "one is outstanding"
    with broker.client() as client:
        client.flushall()
    worker.process.send_signal(signal.SIGCONT)
    assert send_hint(app, *hint, tenant="*")
    wait_for(worker.has("hinted"), 30, "the worker takes the message")
    wait_for(lambda: send_hint(app, *hint, tenant="*"), 10, "the task took the hint")
    app.close()


def test_a_message_that_is_delivered_again_while_its_task_runs_finds_the_row_taken(
    broker: Broker, own: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may outlast the visibility timeout; the lease of its row makes that harmless."""
    new = NewImport(id=uuid4(), name="a", requested_by="test", url="https://attack.example/")
    with own.transaction(PUBLIC) as session:
        repository.insert_import(session, new)
    monkeypatch.setenv("TEST_VISIBILITY_TIMEOUT", "2")
    worker = SupervisedWorker(tmp_path)
    try:
        send("work_leased", str(new.id), 8.0)
        wait_for(worker.has("ends"), 90, "the task ends")
        wait_for(worker.has("skipped"), 30, "the message is delivered again")
    finally:
        worker.stop()
    assert Counter(worker.lines)["begins"] == 1


@pytest.fixture
def alive(broker: Broker) -> Iterator[tuple[WorkerLiveness, list[str]]]:
    """The liveness of a worker that does not exist: nobody runs its pings."""
    app = make_celery("feeds")
    reasons: list[str] = []
    yield WorkerLiveness(app, "feeds-0@test", lambda: reasons.append("given up")), reasons
    app.close()


def test_a_worker_without_pings_is_dead_unless_it_is_busy_or_its_broker_is_away(
    broker: Broker,
    alive: tuple[WorkerLiveness, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    liveness, reasons = alive
    monkeypatch.setattr("shared.runtime.liveness.SILENT_SECONDS", 1.0)
    monkeypatch.setattr("shared.runtime.liveness.PING_SECONDS", 0.1)
    liveness.check()
    liveness.start()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        liveness.observe(children=0)  # all of them are at work
        time.sleep(0.05)
    assert reasons == []
    with broker.client() as client:
        assert client.llen(liveness.queue.name) <= 1, "no pings while none can run"
    broker.kill()
    time.sleep(3)
    assert reasons == [], "without a broker nothing can be said"
    broker.start()
    wait_for(lambda: bool(reasons), 20, "the worker is given up")
    liveness.stop()
    with pytest.raises(Unavailable, match="has run no message"):
        liveness.check()


def test_a_worker_runs_its_own_pings(broker: Broker, worker: SupervisedWorker) -> None:
    send("write_line", "before")
    wait_for(worker.has("before"), 60, "the worker runs")
    mailbox = Mailbox("celery", type="fanout", accept=["json"])

    def seconds() -> float:
        with Connection(broker.server.url) as connection:
            answers = mailbox(connection).multi_call("liveness_seconds", timeout=5, limit=1)
        return float(next(iter(answers[0].values()))["seconds"])

    assert seconds() <= PING_SECONDS + 5
    time.sleep(PING_SECONDS + 2)
    assert seconds() <= PING_SECONDS + 5
