"""Marks of outstanding hints on a real broker."""

import time
from collections.abc import Iterator

import pytest
import redis

from shared.runtime import hints
from shared.runtime.hints import HINT_SECONDS, QUEUE_LIMIT, mark, queue_lengths, unmark
from shared.settings import Settings, load_settings

TASK = "feeds.tasks.run_feed"


@pytest.fixture
def broker(environment: Settings) -> Iterator[redis.Redis]:
    """The broker's database 7, empty."""
    url = f"{environment.celery_broker_url.get_secret_value().rpartition('/')[0]}/7"
    with pytest.MonkeyPatch.context() as patch, redis.Redis.from_url(url) as client:
        patch.setenv("CELERY_BROKER_URL", url)
        load_settings.cache_clear()
        client.flushdb()
        yield client
        client.flushdb()
    load_settings.cache_clear()


def test_a_hint_is_outstanding_until_its_task_begins(broker: redis.Redis) -> None:
    assert mark(TASK, ("1",))
    assert not mark(TASK, ("1",))
    assert mark(TASK, ("2",)), "another run"
    assert mark("feeds.tasks.start_due_feeds", ()), "another purpose"
    unmark(TASK, ("1",))
    assert mark(TASK, ("1",))


def test_a_worker_that_starts_lets_hints_to_its_service_be_sent_again(broker: redis.Redis) -> None:
    mark(TASK, ("1",))
    mark("mitre.tasks.import_release", ("1",))
    hints.forget_marks("feeds")
    assert mark(TASK, ("1",))
    assert not mark("mitre.tasks.import_release", ("1",)), "another service's"


def test_a_mark_runs_out(broker: redis.Redis) -> None:
    mark(TASK, ("1",))
    (key,) = broker.keys()
    assert 0 < broker.ttl(key) <= HINT_SECONDS
    broker.pexpire(key, 1)
    time.sleep(0.05)
    assert mark(TASK, ("1",))


def test_a_long_queue_gets_no_hints_and_no_marks(broker: redis.Redis) -> None:
    broker.lpush("feeds", *(["x"] * QUEUE_LIMIT))
    assert not mark(TASK, ("1",))
    assert queue_lengths()["feeds"] == QUEUE_LIMIT
    broker.delete("feeds")
    assert mark(TASK, ("1",))


def test_a_broker_that_did_not_answer_is_not_asked_again_at_once(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    load_settings.cache_clear()
    hints._broker_at.cache_clear()
    with pytest.raises(redis.ConnectionError, match="refused"):
        mark(TASK, ("1",))
    with pytest.raises(redis.ConnectionError, match="a moment ago"):
        mark(TASK, ("1",))
    monkeypatch.undo()
    load_settings.cache_clear()


def test_another_kind_of_broker_gets_every_hint(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://127.0.0.1:1//")
    load_settings.cache_clear()
    assert mark(TASK, ("1",))
    assert mark(TASK, ("1",))
    assert queue_lengths() == {}
    monkeypatch.undo()
    load_settings.cache_clear()
