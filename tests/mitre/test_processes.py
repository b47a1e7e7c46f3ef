"""The service as its processes: a bundle sent to the API ends up on Kafka."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer
from starlette.testclient import TestClient

from shared.events.mitre import RELEASED, TECHNIQUES, Released, TechniqueCard
from shared.kafka.cluster import client_options
from shared.kafka.topics import topic_name
from shared.settings import Settings


@contextmanager
def process(kind: str, folder: Path) -> Iterator[None]:
    """One process of the service, ready."""
    with ExitStack() as stack:
        ready = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        ready.bind(str(folder / f"{kind}.sock"))
        ready.settimeout(30)
        log = stack.enter_context((folder / f"{kind}.log").open("w"))
        started = subprocess.Popen(
            [sys.executable, "-m", "services.mitre", kind],
            env={**os.environ, "NOTIFY_SOCKET": str(folder / f"{kind}.sock")},
            stdout=log,
            stderr=log,
        )
        try:
            assert ready.recv(64) == b"READY=1"
            yield
        finally:
            started.send_signal(signal.SIGTERM)
            assert started.wait(15) in {0, -signal.SIGTERM, -signal.SIGQUIT}


async def read(settings: Settings, topic: str, count: int) -> dict[bytes, bytes]:
    """The first records of a topic by key."""
    consumer = AIOKafkaConsumer(
        topic_name(settings, topic),
        **client_options(settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    records: dict[bytes, bytes] = {}
    async with consumer, asyncio.timeout(30):
        while len(records) < count:
            record = await consumer.getone()
            assert dict(record.headers)["ce_tenant"] == b"public"
            records[record.key] = record.value
    return records


def test_an_upload_ends_as_events(
    settings: Settings, client_for: Callable[..., TestClient], starter: Path, tmp_path: Path
) -> None:
    api = client_for("mitre", role="operator")
    with process("worker", tmp_path), process("consumer", tmp_path):
        query = {"name": starter.name, "domain": "enterprise-attack"}
        load = api.post("/v1/loads/upload", params=query, content=starter.read_bytes()).json()
        deadline = time.monotonic() + 30
        while (state := api.get(f"/v1/loads/{load['id']}").json()["state"]) in {
            "queued",
            "running",
        }:
            assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
            time.sleep(0.05)
        assert state == "succeeded"
        cards = asyncio.run(read(settings, TECHNIQUES.name, 54))
        releases = asyncio.run(read(settings, RELEASED.name, 1))

    shell = msgspec.json.decode(cards[b"T1059.001"], type=TechniqueCard)
    assert (shell.name, shell.parent, shell.version) == ("PowerShell", "T1059", "0.18.1")
    release = msgspec.json.decode(releases[b"enterprise-attack"], type=Released)
    assert (release.version, len(release.added)) == ("0.18.1", 54)
