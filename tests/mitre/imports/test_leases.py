"""The lease of an import: renewed while it stores, handed back when a worker stops."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.mitre.imports import execution, repository
from services.mitre.imports.execution import execute
from services.mitre.imports.models import IMPORT
from services.mitre.imports.service import reconcile
from services.mitre.releases.service import store_release
from shared import shutdown
from shared.database import PUBLIC, Database, database
from shared.leases import LeasedTable
from shared.settings import Settings

SHORT = timedelta(seconds=1)


@pytest.fixture
def own(environment: Settings) -> Database:
    return database("mitre")


@pytest.fixture
def import_id(own: Database, client_for: Callable[..., TestClient], starter: Path) -> UUID:
    """An import that waits."""
    operator = client_for("mitre", "public", "operator")
    uploaded = operator.post(
        "/v1/loads/upload", params={"name": "a", "activate": True}, content=starter.read_bytes()
    )
    return UUID(uploaded.json()["id"])


@pytest.fixture
def stopping() -> Iterator[None]:
    """A worker that is to stop."""
    shutdown.share()
    shutdown.request()
    yield
    shutdown.share()


def row(own: Database, import_id: UUID) -> sa.Row[Any]:
    with own.transaction(PUBLIC) as session:
        query = sa.select(IMPORT.c.state, IMPORT.c.attempts, IMPORT.c.holder)
        return session.execute(query.where(IMPORT.c.id == import_id)).one()


def test_a_store_that_outlasts_the_lease_keeps_it(
    own: Database, environment: Settings, import_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "IMPORTS", LeasedTable(IMPORT, lease=SHORT))
    monkeypatch.setattr(execution, "_RENEWAL_SECONDS", 0.2)
    begun = threading.Event()

    def store_slowly(*arguments: Any, **options: Any) -> Any:
        begun.set()
        time.sleep(3 * SHORT.total_seconds())
        return store_release(*arguments, **options)

    monkeypatch.setattr(execution, "store_release", store_slowly)
    statuses: list[str] = []
    worker = threading.Thread(
        target=lambda: statuses.append(execute(own, environment, import_id).status)
    )
    worker.start()
    assert begun.wait(30)
    time.sleep(2 * SHORT.total_seconds())
    assert execute(own, environment, import_id).status == "skipped", "it has a worker"
    worker.join()
    assert statuses == ["succeeded"]
    assert row(own, import_id).attempts == 1


def test_a_worker_that_stops_hands_its_import_back_and_counts_no_attempt(
    own: Database, environment: Settings, import_id: UUID, stopping: None
) -> None:
    for _ in range(repository.MAX_ATTEMPTS + 1):
        assert execute(own, environment, import_id).status == "handed-back"
    assert tuple(row(own, import_id)) == ("queued", 0, None)
    shutdown.share()
    assert execute(own, environment, import_id).status in ("succeeded", "unchanged")


def test_a_full_broker_refuses_no_upload(
    own: Database, environment: Settings, full_broker: redis.Redis, import_id: UUID
) -> None:
    assert reconcile(own) == 0
    assert row(own, import_id).state == "queued"
    full_broker.config_set("maxmemory", 0)
    assert reconcile(own) >= 1
