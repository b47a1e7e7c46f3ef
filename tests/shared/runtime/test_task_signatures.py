"""A worker runs what its own service or the scheduler has sent, and answers questions alone."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import kombu
import pytest
import redis
import sqlalchemy as sa
from celery import Celery
from kombu.compression import compress

from shared.database import PLATFORM, Database, database
from shared.runtime import task_refusals
from shared.runtime.celery import enqueue, make_celery
from shared.runtime.remote_control import QUESTIONS
from shared.runtime.task_signatures import SIGNATURE, verify_message
from shared.settings import Settings
from shared.signing import Unauthentic
from tests.shared.runtime.test_worker import Broker, SupervisedWorker, broker, wait_for, worker

__all__ = ["broker", "worker"]

TASK = "feeds.tasks.write_line"
Message = dict[str, Any]


def client(settings: Settings) -> redis.Redis:
    return redis.Redis.from_url(settings.celery_broker_url.get_secret_value())


def message_of(
    connection: redis.Redis, sender: str, *args: object, task: str = TASK, tenant: str = "acme"
) -> Message:
    """A message as it stands in the broker when a service has sent it."""
    queue = f"test-{uuid4()}"
    app = make_celery(sender)
    enqueue(app, task, *args, tenant=tenant, actor="kim", queue=queue)
    app.close()
    raw = connection.lpop(queue)
    assert isinstance(raw, bytes)
    message: Message = json.loads(raw)
    return message


def check(message: Message, service: str = "feeds") -> None:
    verify_message(service, message["headers"], base64.b64decode(message["body"]))


@pytest.mark.parametrize("sender", ["feeds", "scheduler"])
def test_a_message_is_its_senders(environment: Settings, sender: str) -> None:
    message = message_of(client(environment), sender, "a line", 1.5, {"ä": [None]})
    check(message)
    # The broker's client marks what it delivers a second time.
    message["headers"]["redelivered"] = True
    check(message)


def test_a_service_sends_nothing_to_another(environment: Settings) -> None:
    with pytest.raises(Unauthentic, match="mitre may not send"):
        check(message_of(client(environment), "mitre", "a line"))
    with pytest.raises(Unauthentic, match="may not send"):
        check(message_of(client(environment), "feeds", "a line"), "mitre")


@pytest.fixture(scope="module")
def signed(environment: Settings) -> Message:
    return message_of(client(environment), "feeds", "a line")


HEADERS = ("task", "id", "tenant", "actor", "expires", "eta", "retries", "timelimit", "traceparent")


@pytest.mark.parametrize("name", [*HEADERS, SIGNATURE, "new"])
@pytest.mark.parametrize("value", ["*", None, 7, ["x"]])
def test_no_header_can_be_changed(signed: Message, name: str, value: object) -> None:
    headers = signed["headers"] | {name: value}
    if headers == signed["headers"]:
        return
    with pytest.raises(Unauthentic):
        verify_message("feeds", headers, base64.b64decode(signed["body"]))
    headers.pop(name)
    with pytest.raises(Unauthentic):
        verify_message("feeds", headers | {"x": 1}, base64.b64decode(signed["body"]))


def test_arguments_cannot_be_changed(signed: Message) -> None:
    body = base64.b64decode(signed["body"]).replace(b"a line", b"b line")
    with pytest.raises(Unauthentic):
        verify_message("feeds", signed["headers"], body)


@pytest.mark.parametrize("name", ["application/x-bz2", "gzip", "lzma"])
def test_a_compressed_message_is_not_expanded(signed: Message, name: str) -> None:
    bomb = compress(bytes(64 << 20), name)[0]
    headers = signed["headers"] | {"compression": name}
    received = kombu.Message(bomb, headers=headers)
    assert received.body == bomb
    with pytest.raises(Unauthentic):
        verify_message("feeds", received.headers, received.body)


@pytest.fixture
def app(broker: Broker) -> Iterator[Celery]:
    app = make_celery("feeds")
    yield app
    app.close()


@pytest.fixture
def own(environment: Settings) -> Database:
    return database("feeds")


def refused(own: Database) -> list[Any]:
    query = "SELECT details FROM audit WHERE action = 'tasks.refuse' ORDER BY id"
    with own.transaction(PLATFORM) as session:
        return [row.details for row in session.execute(sa.text(query))]


def refused_count(own: Database) -> int:
    return sum(int(entry["count"]) for entry in refused(own))


def test_forged_messages_are_dropped_and_told_in_bulk(
    app: Celery, broker: Broker, worker: SupervisedWorker, own: Database
) -> None:
    connection = broker.client()
    good = message_of(connection, "feeds", "good")
    forged = [message_of(connection, "mitre", "of another service")]
    unsigned = message_of(connection, "feeds", "unsigned")
    del unsigned["headers"][SIGNATURE]
    forged.append(unsigned)
    other = message_of(connection, "feeds", "as another tenant")
    other["headers"]["tenant"] = "*"
    forged.append(other)
    edited = message_of(connection, "feeds", "edited")
    edited["body"] = base64.b64encode(b'[["other arguments"], {}, {}]').decode()
    forged.append(edited)
    old = message_of(connection, "feeds", "first protocol")
    old["body"] = base64.b64encode(
        json.dumps({"task": TASK, "id": "1", "args": ["first protocol"], "kwargs": {}}).encode()
    ).decode()
    old["headers"] = {}
    forged.append(old)
    texts = [json.dumps(message) for message in forged]
    for number in range(1000):
        unsigned["headers"]["id"] = unsigned["properties"]["delivery_tag"] = str(number)
        texts.append(json.dumps(unsigned))
    connection.lpush("feeds", *texts, json.dumps(good))
    wait_for(worker.has("good"), 60, "the good message runs")
    wait_for(
        lambda: refused_count(own) == 1005,
        2 * task_refusals.REPORT_SECONDS,
        "the audit tells of all",
    )
    assert worker.lines == ["good"]
    # The second entry is of a worker that the machine held up for longer than it gathers.
    assert len(refused(own)) <= 2
    assert {(entry["task"], entry["tenant"]) for entry in refused(own)} == {(TASK, "acme")}
    assert worker.exit_codes == []
    assert connection.llen("feeds") == connection.hlen("unacked") == 0


def test_a_worker_answers_questions_and_obeys_nobody(
    app: Celery, broker: Broker, worker: SupervisedWorker
) -> None:
    enqueue(app, TASK, "first", tenant="*")
    wait_for(worker.has("first"), 60, "the worker runs")
    pid = worker.process.pid
    with suppress(AttributeError):
        app.control.broadcast("cancel_consumer", arguments={"queue": "feeds"})
        app.control.broadcast("pool_shrink", arguments={"n": 9})
        app.control.broadcast("hello", arguments={"from_node": "x", "revoked": {"1": 1}})
        app.control.broadcast("shutdown")
    enqueue(app, TASK, "second", tenant="*")
    wait_for(worker.has("second"), 30, "the worker goes on")
    time.sleep(1)
    assert (worker.process.pid, worker.exit_codes) == (pid, [])
    assert app.control.ping(timeout=5)
    assert app.control.inspect(timeout=5).stats()
    assert "shutdown" not in QUESTIONS


def test_a_worker_knows_the_command_by_which_flower_finds_it(worker: SupervisedWorker) -> None:
    app = make_celery("feeds")
    answers: list[dict[str, Any]] = []

    def is_answered() -> bool:
        answers[:] = app.control.broadcast("heartbeat", reply=True, timeout=2) or []
        return bool(answers)

    wait_for(is_answered, 60, "the worker answers")
    assert [value for answer in answers for value in answer.values()] == [None]


def test_a_flood_that_goes_on_is_an_entry_a_minute(
    own: Database, environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_refusals, "GATHER_SECONDS", 0.2)
    monkeypatch.setattr(task_refusals, "REPORT_SECONDS", 2.0)
    before = len(refused(own))
    refusals = task_refusals.TaskRefusals(own)
    headers = {"task": "x\0" * 500, "tenant": None}
    for _ in range(10):
        refusals.add(headers, "why")
    wait_for(lambda: len(refused(own)) == before + 1, 10, "the first entry")
    for _ in range(5):
        refusals.add(headers, "why")
    wait_for(lambda: len(refused(own)) == before + 2, 10, "the second entry")
    assert [details["count"] for details in refused(own)[before:]] == ["10", "5"]
