"""Pushes of collections, and the systems that they go to."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from services.observables.pushes.pushing import push_collection
from services.observables.pushes.service import wake_due
from shared.database import Database
from shared.settings import Settings
from tests.observables.taxii.conftest import TaxiiClient, collection, server, taxii

__all__ = ["collection", "server", "taxii"]

ClientFor = Callable[..., TestClient]


class Pushes:
    """Pushes of acme's, as an administrator configures them and a worker runs them.

    Args:
        own: the service's database.
        settings: of the worker.
        http: the administrator's client.
    """

    def __init__(self, own: Database, settings: Settings, http: TestClient) -> None:
        self.own = own
        self.settings = settings
        self.http = http

    def add(self, **fields: Any) -> dict[str, Any]:
        """Create a push."""
        answer = self.http.post("/v1/pushes", json=fields)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def show(self, push: dict[str, Any]) -> dict[str, Any]:
        """A push as it is now."""
        answer = self.http.get(f"/v1/pushes/{push['id']}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def run(self, push: dict[str, Any]) -> dict[str, Any]:
        """What a worker makes of a push."""
        return push_collection(self.own, self.settings, UUID(push["id"]))


@pytest.fixture
def pushes(own: Database, environment: Settings, taxii: TaxiiClient) -> Pushes:
    return Pushes(own, environment, taxii.http)


@pytest.fixture
def partner(client_for: ClientFor) -> TaxiiClient:
    """Another tenant, whose collections stand for those of another server."""
    return TaxiiClient(client_for("observables", tenant="globex"), "globex")


@pytest.fixture
def hints(own: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the sweep tells the workers: ids of pushes."""
    sent: list[str] = []

    def note(_app: object, _task: str, identity: str, *, tenant: str) -> bool:
        assert tenant == "acme"
        sent.append(identity)
        return True

    monkeypatch.setattr("services.observables.pushes.service.send_hint", note)

    def due() -> list[str]:
        sent.clear()
        wake_due(own)
        return list(sent)

    return due
