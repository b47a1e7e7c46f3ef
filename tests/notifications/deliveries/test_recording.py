"""A result that cannot be recorded costs nobody else's; a silent broker or database costs none."""

import threading
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from pydantic import BaseModel

from services.notifications.channel_types import channel_types
from services.notifications.channel_types.base import Receipt
from services.notifications.deliveries.dispatcher import DeliveryDispatcher
from services.notifications.deliveries.wakeup import Vigil
from shared.database import Database
from shared.runtime import hints
from tests.faults.tcp_proxy import TcpProxy
from tests.notifications.conftest import Bench
from tests.notifications.receiver import Answer, Receiver


class _Config(BaseModel):
    """Nothing."""


class _OddChannel:
    """A plug-in whose receipts no row can hold."""

    name: ClassVar[str] = "odd"
    config = _Config
    signs: ClassVar[bool] = False
    sent: ClassVar[list[str]] = []

    async def check(self, config: Any, allow: Any) -> None:
        """Accept it."""

    async def send(self, notification: Any, *_: Any) -> Receipt:
        self.sent.append(str(notification.id))
        return Receipt(status=1_000_000, answer="taken")


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setitem(channel_types(), "odd", _OddChannel())
    _OddChannel.sent.clear()
    return _OddChannel.sent


def test_a_result_that_no_row_can_hold_is_recorded_without_it_and_holds_nobody(
    bench: Bench, receiver: Receiver, odd: list[str]
) -> None:
    _, rule, feed = bench.hook(receiver)
    bad = bench.rule(bench.channel("", kind="odd", config={}), sources=[feed])
    for _ in range(4):
        bench.handle(bench.event(feed))
    counts = bench.deliver()
    assert counts.delivered == 8
    assert [row["state"] for row in bench.ledger(rule)] == ["delivered"] * 4
    assert [row["state"] for row in bench.ledger(bad)] == ["delivered"] * 4
    assert len(receiver.received) == len(odd) == len(set(odd)) == 4
    for row in bench.ledger(bad) + bench.ledger(rule):
        assert len(bench.events_about(row["id"])) == 1
        shown = bench.api.get(f"/v1/deliveries/{row['id']}").json()
        assert len(shown["attempt_log"]) == 1


def test_a_row_that_refuses_every_result_is_left_to_its_lease_and_holds_nobody(
    bench: Bench, receiver: Receiver
) -> None:
    _, rule, feed = bench.hook(receiver)
    for _ in range(6):
        bench.handle(bench.event(feed))
    poison = bench.ledger(rule)[3]["id"]
    name = f"refuse_{uuid4().hex[:8]}"
    with psycopg.connect(bench.settings.database_url.get_secret_value(), autocommit=True) as admin:
        admin.execute(
            f"CREATE FUNCTION notifications.{name}() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no result for this one'; END $$"
        )
        admin.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON notifications.delivery FOR EACH ROW"
            f" WHEN (OLD.id = '{poison}' AND NEW.state <> 'delivering')"
            f" EXECUTE FUNCTION notifications.{name}()"
        )
        counts = bench.deliver()
        states = {row["id"]: row["state"] for row in bench.ledger(rule)}
        assert counts.delivered == 5
        assert states.pop(poison) == "delivering"
        assert set(states.values()) == {"delivered"}
        admin.execute(f"DROP TRIGGER {name} ON notifications.delivery")
        admin.execute(f"DROP FUNCTION notifications.{name}()")
    bench.make_due(rule)
    assert bench.deliver().delivered == 1
    # The receiver knows it by its id.
    ids = [received.headers["webhook-id"] for received in receiver.received]
    assert len(ids) == 7
    assert ids.count(poison) == 2


def test_a_delivery_that_cannot_be_written_fails_alone(bench: Bench, receiver: Receiver) -> None:
    _, rule, feed = bench.hook(receiver)
    for _ in range(3):
        bench.handle(bench.event(feed))
    poison = bench.ledger(rule)[1]["id"]
    bench.sql("UPDATE delivery SET matches = '[1, \"x\"]' WHERE id = :id", id=poison)
    bench.deliver()
    states = {row["id"]: row["state"] for row in bench.ledger(rule)}
    states.pop(poison)
    assert set(states.values()) == {"delivered"}


def test_results_outlast_an_outage_of_the_database(bench: Bench, receiver: Receiver) -> None:
    """What was sent while the database is away is recorded when it is back, and sent once."""
    _, rule, feed = bench.hook(receiver)
    receiver.answers = [Answer(204, delay=1.0)] * 3
    for _ in range(3):
        bench.handle(bench.event(feed))
    url = urlsplit(bench.settings.database_url.get_secret_value())
    assert url.hostname is not None
    with TcpProxy(url.hostname, url.port or 5432) as proxy:
        login = url.netloc.rpartition("@")[0]
        place = url._replace(netloc=f"{login}@127.0.0.1:{proxy.port}")
        away = Database(place.geturl(), "notifications")
        running = DeliveryDispatcher(away, bench.settings)
        thread = threading.Thread(target=running.run)
        thread.start()
        receiver.wait_for(3)
        proxy.refuse()
        proxy.cut()
        time.sleep(2.5)
        assert {row["state"] for row in bench.ledger(rule)} == {"delivering"}
        proxy.admit()
        thread.join(20)
        assert not thread.is_alive()
        away.close()
    assert [row["state"] for row in bench.ledger(rule)] == ["delivered"] * 3
    assert len(receiver.received) == 3


def test_a_broker_that_is_frozen_holds_no_delivery(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, feed = bench.hook(receiver)
    address = urlsplit(bench.settings.celery_broker_url.get_secret_value())
    assert address.hostname is not None
    real = hints.open_broker()
    with TcpProxy(address.hostname, address.port or 6379) as proxy:
        login = address.netloc.rpartition("@")[0]
        host = f"{login}@127.0.0.1:{proxy.port}" if login else f"127.0.0.1:{proxy.port}"
        frozen = hints.BrokerConnections(address._replace(netloc=host).geturl())

        def open_broker() -> hints.BrokerConnections | None:
            # Only the worker's; what stores deliveries would be slow as well.
            name = threading.current_thread().name
            return frozen if name.startswith(("vigil", "asyncio")) else real

        monkeypatch.setattr(hints, "open_broker", open_broker)
        worker = DeliveryDispatcher(bench.own, bench.settings, vigil=Vigil())
        thread = threading.Thread(target=worker.run)
        bench.handle(bench.event(feed))
        thread.start()
        receiver.wait_for(1)
        proxy.freeze()
        waits = []
        for number in range(2, 32):
            stored = time.monotonic()
            bench.handle(bench.event(feed))
            receiver.wait_for(number, 5.0)
            waits.append(time.monotonic() - stored)
            time.sleep(0.1)
        assert max(waits) < 1.0, waits
        thread.join(30)
        assert not thread.is_alive()
