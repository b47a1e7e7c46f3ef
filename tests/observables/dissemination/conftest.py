"""Lists with members: what the tests of dissemination share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.dissemination.membership.fill import fill_lists
from services.observables.dissemination.membership.handlers import handle_changes
from shared.database import PLATFORM, Database
from shared.events import Event
from shared.events.feeds import Indicator
from shared.events.observables import CHANGED, ObservablesChanged
from tests.observables.conftest import FEED, chunk, handle, outbox


def address(number: int) -> Indicator:
    return Indicator("ipv4-addr", f"203.0.{number // 250}.{number % 250 + 1}")


@dataclass
class Lists:
    """A tenant's lists, and the consumer that keeps their members.

    Attributes:
        client: of the tenant's API.
        tenant: the tenant.
    """

    own: Database
    client: TestClient
    tenant: str = "acme"

    def create(self, text: str = "observable.score >= 20", **values: Any) -> dict[str, Any]:
        body = {"name": "addresses", "filter": text, **values}
        answer = self.client.post("/v1/lists", json=body)
        assert answer.status_code == 201, answer.text
        fill_lists(self.own)
        return self.view(answer.json()["id"])

    def view(self, list_id: str) -> dict[str, Any]:
        view: dict[str, Any] = self.client.get(f"/v1/lists/{list_id}").json()
        return view

    def values(self, list_id: str, **query: Any) -> list[str]:
        answer = self.client.get(f"/v1/lists/{list_id}/entries", params={"limit": 1000, **query})
        assert answer.status_code == 200, answer.text
        return sorted(entry["value"] for entry in answer.json()["items"])

    def why(self, list_id: str, value: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/lists/{list_id}/why", params={"value": value})
        assert answer.status_code == 200, answer.text
        explained: dict[str, Any] = answer.json()
        return explained

    def see(self, *indicators: Indicator, **options: Any) -> None:
        """Let a feed list some indicators, and the changes reach the lists."""
        tenant = options.setdefault("tenant", self.tenant)
        handle(self.own, chunk(*indicators, **options), tenant=tenant)
        self.follow(tenant)

    def follow(self, tenant: str = "acme", repeats: int = 1) -> None:
        """Apply the changes that were published, in order."""
        for payload in self.published():
            data = msgspec.json.decode(payload, type=ObservablesChanged)
            event = Event(CHANGED, data, tenant, "/services/observables", key=b"0")
            for _ in range(repeats):
                with self.own.transaction(PLATFORM) as session:
                    handle_changes(session, [event])

    def published(self) -> list[bytes]:
        """The changes that were published, taken out of the outbox; what else is there stays."""
        query = "DELETE FROM outbox WHERE topic = 'observables.changed.v1' RETURNING id, payload"
        with self.own.transaction(PLATFORM) as session:
            rows = sorted((row[0], bytes(row[1])) for row in session.execute(sa.text(query)))
        return [payload for _, payload in rows]

    def news(self) -> list[str]:
        return [row.decode() for row in outbox(self.own, "observables.lists.v1")]

    def rows(self, query: str, list_id: str) -> list[Any]:
        with self.own.transaction(PLATFORM) as session:
            return list(session.execute(sa.text(query), {"list": UUID(list_id)}))


@pytest.fixture
def lists(own: Database, client_for: Callable[..., TestClient]) -> Lists:
    return Lists(own, client_for("observables"))


__all__ = ["FEED", "Lists", "address"]
