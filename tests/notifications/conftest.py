"""A receiver of webhooks, and shortcuts to channels, rules, events and the ledger."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.notifications.deliveries.dispatcher import DeliveryDispatcher, DispatchCounts
from services.notifications.rules.handlers import RuleMatcher
from shared.database import PLATFORM, Database, database
from shared.events import Event
from shared.events.observables import CHANGED, Change, ObservablesChanged
from shared.settings import Settings
from tests.notifications.receiver import Receiver, receiving


class Bench:
    """Shortcuts for the tests of this folder.

    Attributes:
        own: the service's database.
        api: a client of the tenant acme.
    """

    def __init__(self, settings: Settings, client_for: Callable[..., TestClient]) -> None:
        self.settings = settings
        self.own: Database = database("notifications")
        self.client_for = client_for
        self.api = client_for("notifications", tenant="acme", role="analyst")

    def channel(self, url: str, *, api: TestClient | None = None, **values: Any) -> dict[str, Any]:
        body = {
            "name": f"hook {uuid4().hex[:6]}",
            "kind": "webhook",
            "config": {"url": url},
            **values,
        }
        answer = (api or self.api).post("/v1/channels", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def rule(
        self, *channels: dict[str, Any], api: TestClient | None = None, **values: Any
    ) -> dict[str, Any]:
        """A rule that tells of each event by itself, unless its values say otherwise."""
        ids = [channel["id"] for channel in channels]
        body = {
            "name": f"rule {uuid4().hex[:6]}",
            "channel_ids": ids,
            "group_by": ["event"],
            **values,
        }
        answer = (api or self.api).post("/v1/rules", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def hook(self, receiver: Receiver, **rule: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
        """A channel, a rule for a new feed, and the feed's name: tests share no feeds."""
        feed = rule.pop("feed", f"feed-{uuid4().hex[:6]}")
        channel = self.channel(receiver.url)
        return channel, self.rule(channel, sources=[feed], **rule), feed

    def event(
        self, feed: str, *changes: Change, tenant: str = "public", id_: str | None = None
    ) -> Event[Any]:
        data = ObservablesChanged(uuid4(), feed, list(changes or [change()]))
        return Event(
            CHANGED, data, tenant, "/services/observables", key=b"1", id=id_ or str(uuid4())
        )

    def handle(self, *events: Event[Any]) -> None:
        with self.own.transaction(PLATFORM) as session:
            RuleMatcher().handle_changes(session, events)

    def deliver(self) -> DispatchCounts:
        return DeliveryDispatcher(self.own, self.settings).run()

    def ledger(self, rule: dict[str, Any], api: TestClient | None = None) -> list[dict[str, Any]]:
        return (
            (api or self.api).get("/v1/deliveries", params={"rule_id": rule["id"]}).json()["items"]
        )

    def sql(self, statement: str, **values: Any) -> Sequence[Any]:
        with self.own.transaction(PLATFORM) as session:
            result = session.execute(sa.text(statement), values)
            return result.all() if result.returns_rows else []

    def make_due(self, rule: dict[str, Any]) -> None:
        """Make a rule's waiting and leased deliveries due."""
        for column, state in (("next_attempt_at", "pending"), ("lease_until", "delivering")):
            statement = (
                f"UPDATE delivery SET {column} = now() - interval '1 s'"
                " WHERE state = :state AND rule_id = :rule"
            )
            self.sql(statement, state=state, rule=rule["id"])

    def events_about(self, delivery_id: str) -> list[str]:
        rows = self.sql(
            "SELECT payload FROM outbox WHERE topic = 'notifications.delivered.v1' ORDER BY id"
        )
        return [row.payload.decode() for row in rows if delivery_id in row.payload.decode()]

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """A real worker process in a process group of its own, once it is ready."""
        path = f"\0sentineliq-{uuid4().hex}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(path)
            ready.settimeout(20)
            process = subprocess.Popen(
                [sys.executable, "-m", "services.notifications", "worker"],
                env={**os.environ, "NOTIFY_SOCKET": "@" + path[1:]},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                assert ready.recv(64) == b"READY=1"
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)


def change(**values: Any) -> Change:
    return Change(
        **{
            "id": f"ipv4-addr--{uuid4()}",
            "type": "ipv4-addr",
            "value": "192.0.2.7",
            "kind": "new",
            "score": 90,
        }
        | values
    )


@pytest.fixture
def bench(settings: Settings, client_for: Callable[..., TestClient]) -> Bench:
    return Bench(settings, client_for)


@pytest.fixture
def make_change() -> Callable[..., Change]:
    return change


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver_:
        yield receiver_
