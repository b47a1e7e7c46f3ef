"""Rises of autonomous systems and registrars, by the process as the service starts it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from starlette.testclient import TestClient

from services.observables.reference import networks
from services.observables.reference.service import store_dataset
from services.observables.trends.autonomous_systems import AutonomousSystems
from shared.database import PUBLIC, Database, database
from shared.events import Event
from shared.events.observables import CHANGED, ENRICHED, Change, Enriched, ObservablesChanged
from shared.kafka.cluster import administrator, client_options
from shared.kafka.topics import MAX_MESSAGE_BYTES, topic_name
from shared.settings import Settings
from tests.signed_events import signed_headers

HOUR = 3600.0
TABLE = (
    b"45.9.148.0\t45.9.148.255\t64496\tNL\tEXAMPLE\n45.9.149.0\t45.9.149.255\t64497\tDE\tOTHER\n"
)


@pytest.fixture
def own(settings: Settings) -> Database:
    observables = database("observables")
    with observables.engine.begin() as connection:
        for table in ("trend", "outbox", "dataset"):
            connection.execute(sa.text(f"TRUNCATE observables.{table}"))
    return observables


def obtain(own: Database, table: bytes) -> None:
    packed = networks.pack([("v4.tsv", table)])
    with own.transaction(PUBLIC) as session:
        store_dataset(session, "networks", packed, origin="test", obtained_at=datetime.now(UTC))


@contextmanager
def process(folder: Path) -> Iterator[Path]:
    """`python -m services.observables trends`, ready; its log."""
    log = folder / "trends.log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, log.open("w") as written:
        ready.bind(str(folder / "ready.sock"))
        ready.settimeout(60)
        started = subprocess.Popen(
            [sys.executable, "-m", "services.observables", "trends"],
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "ready.sock")},
            stdout=written,
            stderr=written,
        )
        try:
            assert ready.recv(64) == b"READY=1", log.read_text()
            yield log
        finally:
            started.send_signal(signal.SIGTERM)
            assert started.wait(40) == 0, log.read_text()


def new(addresses: Sequence[str]) -> Event[ObservablesChanged]:
    changes = [
        Change(f"ipv4-addr--{address}", "ipv4-addr", address, "new", 72) for address in addresses
    ]
    data = ObservablesChanged(UUID(int=1), "blocklist", changes)
    return Event(CHANGED, data, "acme", "/services/observables", b"0")


def answer(number: int, registrar: str, enricher: str = "rdap") -> Event[Enriched]:
    name = f"domain-{number}.example"
    facts = {"registrar": registrar}
    data = Enriched(f"domain-name--{number}", "domain-name", name, enricher, facts, "2026-11-25")
    return Event(ENRICHED, data, "acme", "/services/observables", name.encode())


def send(settings: Settings, events: Sequence[tuple[float, Event]]) -> None:
    """Events as they came into the log at a time."""

    async def publish() -> None:
        topics = sorted({topic_name(settings, event.topic.name) for _, event in events})
        # Kafka keeps the times of the records, instead of the time at which it gets them.
        timestamps = {
            "message.timestamp.type": "CreateTime",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
        }
        async with administrator(settings) as admin:
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, timestamps) for topic in topics]
            )
            await asyncio.sleep(1)  # its answer comes before all of its threads know
        async with AIOKafkaProducer(**client_options(settings)) as producer:
            for at, event in events:
                topic = topic_name(settings, event.topic.name)
                headers = signed_headers(settings, event)
                await producer.send_and_wait(
                    topic, event.payload(), event.key, timestamp_ms=int(at * 1000), headers=headers
                )

    asyncio.run(publish())


def test_an_autonomous_system_and_a_registrar_rise_above_their_baseline(
    settings: Settings, own: Database, tmp_path: Path, client_for: Callable[..., TestClient]
) -> None:
    now = time.time()
    obtain(own, TABLE)
    usual = [(now - 3 * HOUR + 600 * n, new([f"45.9.148.{n}", f"45.9.149.{n}"])) for n in range(17)]
    usual += [(now - 3 * HOUR + 600 * n, answer(n, "Usual Registrar")) for n in range(17)]
    many = [f"45.9.148.{100 + n}" for n in range(40)]
    surge = [(now - 300, new([*many, "45.9.149.99", "no address"]))]
    surge += [(now - 300, answer(100 + n, "Cheap Names, LLC")) for n in range(25)]
    # Another enricher that knows the registrar does not count the domain a second time.
    surge += [(now - 300, answer(100 + n, "Usual Registrar", "virustotal")) for n in range(25)]
    send(settings, [*usual, *surge])
    client = client_for("observables")

    with process(tmp_path) as log:
        deadline = time.monotonic() + 60
        while len(client.get("/v1/trends").json()["items"]) < 2:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    trends = {trend["kind"]: trend for trend in client.get("/v1/trends").json()["items"]}
    assert set(trends) == {"as", "registrar"}
    system = trends["as"]
    assert (system["subject"], system["count"]) == ("AS64496", 40)
    assert system["feeds"] == ["blocklist"]
    assert 0 < system["baseline"] < 2
    registrar = trends["registrar"]
    assert (registrar["subject"], registrar["count"]) == ("cheap names, llc", 25)
    assert registrar["baseline"] == 0.0
    page = client.get("/v1/trends", params={"kind": "registrar"}).json()
    assert [trend["kind"] for trend in page["items"]] == ["registrar"]


def test_networks_are_reloaded_while_it_runs(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = AutonomousSystems(own)
    systems.reload_if_stale()
    assert systems.numbers_of("ipv4-addr", ["45.9.148.3"]) == [None]
    monkeypatch.setattr("services.observables.reference.reloading_cache.CHECK_INTERVAL", -1.0)
    obtain(own, TABLE)
    systems.reload_if_stale()
    assert systems.numbers_of("ipv4-addr", ["45.9.148.3"]) == [None], "it looks once a minute"
    systems = AutonomousSystems(own)
    systems.reload_if_stale()
    addresses = ["45.9.148.3", "no address", "45.9.149.0/24", "8.8.8.8", "1\0"]
    assert systems.numbers_of("ipv4-addr", addresses) == [64496, None, 64497, None, None]
    obtain(own, TABLE.replace(b"64496", b"64510"))
    systems.reload_if_stale()
    assert systems.numbers_of("ipv4-addr", ["45.9.148.3"]) == [64510]
