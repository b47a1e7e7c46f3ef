"""Doctor waits for the workers that there are, and not for other readers of the broker."""

from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event, Thread

import pytest
import redis
from kombu.connection import Connection
from kombu.pidbox import Mailbox

from sentineliq.cli.client import workers
from sentineliq.cli.client.workers import inspect_workers
from shared.settings import Settings

ANSWERS = {
    "active_queues": [{"name": "feeds"}],
    "registered": ["feeds.tasks.answer_ping"],
    "liveness_seconds": {"seconds": 1.0},
}


@pytest.fixture
def worker(environment: Settings) -> Iterator[str]:
    """The name of what answers control messages as a worker does, in a thread of its own."""
    is_over = Event()
    is_ready = Event()
    name = "feeds-1@test"

    def answer() -> None:
        with Connection(environment.celery_broker_url.get_secret_value()) as connection:
            box = Mailbox("celery", type="fanout", accept=["json"])
            handlers = {command: lambda _state, r=reply: r for command, reply in ANSWERS.items()}
            node = box(connection).Node(name, channel=connection.channel(), handlers=handlers)
            with node.listen():
                is_ready.set()
                while not is_over.is_set():
                    try:
                        connection.drain_events(timeout=0.1)
                    except TimeoutError:
                        continue

    thread = Thread(target=answer)
    thread.start()
    assert is_ready.wait(10)
    yield name
    is_over.set()
    thread.join()


def test_readers_of_other_channels_are_not_waited_for(
    environment: Settings, worker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int | None] = []
    ask = workers._ask

    def note(mailbox: Mailbox, command: str, limit: int | None) -> dict:
        limits.append(limit)
        return ask(mailbox, command, limit)

    monkeypatch.setattr(workers, "_ask", note)
    url = environment.celery_broker_url.get_secret_value()
    with ExitStack() as stack:
        for number in range(3):
            reader = stack.enter_context(redis.Redis.from_url(url)).pubsub()
            reader.psubscribe(f"events-{number}.*")
            reader.get_message(timeout=5)
        described = inspect_workers(environment)
    assert described.on("feeds") == [worker]
    assert limits == [1, 1, 1]
