"""Tasks carry their tenant, wait in rows when the queue is away, and say what happened."""

import json
from collections.abc import Iterator

import pytest
import redis
from celery import Celery

from shared.errors import InvalidInput, Unavailable, UpstreamError
from shared.runtime.celery import TIME_LIMIT, ServiceTask, enqueue, make_celery, retry_delay
from shared.runtime.queues import QUEUES
from shared.settings import SERVICES, Settings, load_settings


@pytest.fixture
def app(environment: Settings) -> Iterator[Celery]:
    app = make_celery("feeds")
    yield app
    app.close()


def test_a_message_names_its_task_tenant_actor_and_queue(
    app: Celery, environment: Settings
) -> None:
    queue = "feeds-test-message"
    identity = enqueue(app, "feeds.tasks.run_feed", "42", tenant="acme", actor="kim", queue=queue)
    with redis.Redis.from_url(environment.celery_broker_url.get_secret_value()) as broker:
        message = json.loads(broker.lpop(queue))
    assert message["headers"]["task"] == "feeds.tasks.run_feed"
    assert (message["headers"]["tenant"], message["headers"]["actor"]) == ("acme", "kim")
    assert message["headers"]["id"] == identity
    assert message["content-type"] == "application/json"


def test_a_queue_that_is_away_is_unavailable(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    load_settings.cache_clear()
    app = make_celery("feeds")
    with pytest.raises(Unavailable, match="waits in the database"):
        enqueue(app, "feeds.tasks.run_feed", "42", tenant="acme")
    app.close()
    monkeypatch.undo()
    load_settings.cache_clear()


def test_the_settings_that_keep_work_from_getting_lost(app: Celery) -> None:
    conf = app.conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.accept_content == ["json"]
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_time_limit == TIME_LIMIT < conf.broker_transport_options["visibility_timeout"]


def test_every_service_has_a_queue_of_its_own() -> None:
    assert set(QUEUES) == set(SERVICES)
    assert len(set(QUEUES.values())) == len(SERVICES)
    assert QUEUES["scheduler"] == "default"


@pytest.mark.parametrize("tenant", ["", "Acme", "a b"])
def test_a_message_without_a_tenant_is_refused(app: Celery, tenant: str) -> None:
    @app.task(name="feeds.tasks.say_tenant", bind=True)
    def say_tenant(self: ServiceTask) -> dict[str, str]:
        """Say whose work it is."""
        return {"status": "ok", "tenant": self.tenant}

    say_tenant.push_request(tenant=tenant)
    with pytest.raises(InvalidInput, match="names no tenant"):
        say_tenant.run()
    say_tenant.pop_request()
    say_tenant.push_request(tenant="acme")
    assert say_tenant.run() == {"status": "ok", "tenant": "acme"}
    say_tenant.pop_request()


def test_pauses_grow_to_a_limit_and_the_other_side_may_name_them() -> None:
    error = UpstreamError("busy")
    assert [retry_delay(error, attempt) for attempt in (1, 2, 3, 20)] == [4, 8, 16, 300]
    assert retry_delay(UpstreamError("busy", retry_after=120), 1) == 120
