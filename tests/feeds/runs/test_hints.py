"""Messages about waiting runs: one outstanding for each, however often the sweep comes round."""

from collections.abc import Callable

import pytest
import redis
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.feeds.runs.service import RUN_FEED, reconcile
from shared.database import PLATFORM, Database, database
from shared.runtime.hints import unmark
from shared.settings import Settings

RUNS = 50


@pytest.fixture
def own(environment: Settings) -> Database:
    return database("feeds")


def test_runs_that_wait_do_not_fill_the_queue(
    own: Database, settings: Settings, client_for: Callable[..., TestClient]
) -> None:
    api = client_for("feeds")
    with redis.Redis.from_url(settings.celery_broker_url.get_secret_value()) as broker:
        before = broker.llen("feeds")
        for number in range(RUNS):
            uploaded = api.post(f"/v1/ingest?name=list-{number}", content=b"45.33.32.156\n")
            assert uploaded.status_code == 202, uploaded.text
        for _ in range(10):
            reconcile(own)
        assert broker.llen("feeds") - before == RUNS
        # The broker loses messages and marks: the next sweep sends each again, once.
        with own.transaction(PLATFORM) as session:
            runs = list(session.scalars(sa.text("SELECT id FROM run WHERE state = 'queued'")))
        for run in runs:
            unmark(RUN_FEED, (str(run),))
        assert reconcile(own) == len(runs) == RUNS
        assert reconcile(own) == 0


def test_a_full_broker_refuses_no_upload(
    own: Database, full_broker: redis.Redis, client_for: Callable[..., TestClient]
) -> None:
    api = client_for("feeds")
    uploaded = api.post("/v1/ingest?name=full", content=b"45.33.32.157\n")
    assert uploaded.status_code == 202, uploaded.text
    assert reconcile(own) == 0
    full_broker.config_set("maxmemory", 0)
    assert reconcile(own) >= 1
    assert api.get(f"/v1/runs/{uploaded.json()['id']}").json()["state"] == "queued"
