"""A Valkey database for these tests, and schedulers that send to it."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis
import sqlalchemy as sa

from services.scheduler.beat.scheduler import PostgresScheduler
from shared.database import PLATFORM, Database
from shared.runtime.celery import make_celery
from shared.settings import Settings, load_settings

_INSERT = sa.text(
    "INSERT INTO schedule (tenant, id, name, task, queue, args, cron, every_seconds, timezone, "
    "jitter_seconds, catch_up, owner, enabled, next_due_at, fires_at, created_by, updated_by) "
    "SELECT :tenant, gen_random_uuid(), :name || ' ' || i, 'feeds.tasks.start_feed', 'feeds', "
    "jsonb_build_array(i), :cron, :every, :timezone, 0, :catch_up, 'api', true, "
    "now() - make_interval(secs => :late), now() - make_interval(secs => :late), 'test', 'test' "
    "FROM generate_series(1, :count) AS i RETURNING id"
)


@pytest.fixture(scope="module")
def broker(settings: Settings) -> Iterator[redis.Redis]:
    """The broker's database 9, empty, so that no other worker takes the tests' messages."""
    url = f"{settings.celery_broker_url.get_secret_value().rpartition('/')[0]}/9"
    with pytest.MonkeyPatch.context() as patch, redis.Redis.from_url(url) as client:
        patch.setenv("CELERY_BROKER_URL", url)
        load_settings.cache_clear()
        yield client
        client.flushdb()
    load_settings.cache_clear()


@pytest.fixture
def own(broker: redis.Redis) -> Iterator[Database]:
    """The scheduler's database, without schedules; the broker is emptied too."""
    broker.flushdb()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(
            "TRUNCATE scheduler.schedule, scheduler.fire, scheduler.beat, scheduler.outbox"
        )
    database = Database(os.environ["DATABASE_URL"], "scheduler")
    yield database
    database.close()


@pytest.fixture
def new_beat(own: Database) -> Iterator[Callable[[], PostgresScheduler]]:
    """Makes Beats without core schedules, each with connections of its own."""
    with ExitStack() as stack:

        def make() -> PostgresScheduler:
            database = Database(own.url, "scheduler")
            stack.callback(database.close)
            beat = PostgresScheduler(make_celery("scheduler"), database)
            beat.ready = True
            stack.callback(beat.close)
            return beat

        yield make


@pytest.fixture
def add(own: Database) -> Callable[..., list[UUID]]:
    """Inserts schedules: those of `add(count=3, late=5)` came due five seconds ago."""

    def insert(**options: Any) -> list[UUID]:
        values = {
            "tenant": "acme",
            "name": "nightly",
            "cron": None,
            "timezone": "UTC",
            "catch_up": "skip",
        }
        values |= {"every": None if options.get("cron") else 3600, "late": 1, "count": 1}
        with own.transaction(PLATFORM) as session:
            return list(session.scalars(_INSERT, values | options))

    return insert


@pytest.fixture
def query(own: Database) -> Callable[..., list[sa.Row[Any]]]:
    """Queries the scheduler's database as the platform."""

    def run(statement: str, **values: Any) -> list[sa.Row[Any]]:
        with own.transaction(PLATFORM) as session:
            result = session.execute(sa.text(statement), values)
            return list(result) if result.returns_rows else []

    return run


@pytest.fixture
def messages(broker: redis.Redis) -> Callable[[str], list[dict[str, Any]]]:
    """The messages in a queue: the headers Celery gave them."""

    def read(queue: str) -> list[dict[str, Any]]:
        return [json.loads(raw)["headers"] for raw in broker.lrange(queue, 0, -1)]

    return read


@pytest.fixture
def restore_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """No broker answers until this is called, or the test ends."""

    def restore() -> None:
        monkeypatch.undo()
        load_settings.cache_clear()

    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    load_settings.cache_clear()
    yield restore
    restore()
