"""No call blocks an event loop: neither in the APIs nor in the processes."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from shared.database import PLATFORM, Database, database
from shared.runtime.process import load_service_app
from shared.settings import SERVICES, Settings
from tests.shared.runtime.blocking_detector import blocking_calls

DETECTOR = Path(__file__).with_name("blocking_detector.py")


def read(own: Database) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("SELECT 1"))


def test_a_planted_call_is_detected_and_one_in_a_thread_is_not(environment: Settings) -> None:
    own = database("observables")

    async def block() -> None:
        read(own)

    async def sleep() -> None:
        time.sleep(0.001)  # noqa: ASYNC251  # the planted call

    async def connect() -> None:
        socket.create_connection(("127.0.0.1", 9), 1).close()

    async def move() -> None:
        await asyncio.to_thread(read, own)
        await asyncio.sleep(0.001)

    with blocking_calls() as calls:
        asyncio.run(block())
        assert any(call.startswith("WatchedConnection.wait") for call in calls)
        assert any("test_blocking.py" in call for call in calls)
    with blocking_calls() as calls:
        asyncio.run(sleep())
        assert [call.split()[0] for call in calls] == ["time.sleep"]
    with blocking_calls() as calls:
        with pytest.raises(OSError, match="refused"):
            asyncio.run(connect())
        assert [call.split()[0] for call in calls] == ["socket.connect"]
    with blocking_calls() as calls:
        asyncio.run(move())
        read(own)
        assert calls == []


def routes_of(service: str, environment: Settings) -> list[str]:
    app = load_service_app(service, environment, database(service))
    paths = [
        route.path for route in app.routes if isinstance(route, APIRoute) and "GET" in route.methods
    ]
    # It streams until the job ends.
    return [path for path in paths if not path.endswith(("/progress", "/events"))]


@pytest.mark.parametrize("service", SERVICES)
def test_no_route_that_reads_blocks_the_loop(
    settings: Settings, client_for: Callable[..., TestClient], service: str
) -> None:
    client = client_for(service)
    values = {"value": "192.0.2.1"}
    with blocking_calls() as calls:
        for path in routes_of(service, settings):
            filled = "/".join(str(uuid4()) if "{" in part else part for part in path.split("/"))
            assert client.get(filled, params=values if "lookup" in path else {}).status_code < 500
    assert calls == []


def test_a_dry_run_of_a_policy_does_not_block_the_loop(
    settings: Settings, client_for: Callable[..., TestClient]
) -> None:
    client = client_for("observables")
    with blocking_calls() as calls:
        answer = client.post(
            "/v1/enrichment-policies/dry-run", json={"name": "tried", "enrichers": ["rdap"]}
        )
    assert answer.status_code == 200, answer.text
    assert calls == []


@pytest.mark.parametrize("kind", ["consumer", "trends"])
def test_no_process_blocks_its_loop(settings: Settings, tmp_path: Path, kind: str) -> None:
    calls = tmp_path / "calls"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "SENTINELIQ_PROBE_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, str(DETECTOR), str(calls), "services.observables", kind], env=environ
    )
    try:
        wait_for(lambda: is_ready(port), 60)
        time.sleep(3)  # it polls, relays and sweeps
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(40)
    assert calls.read_text().splitlines() == []


def is_ready(port: int) -> bool:
    try:
        return bool(httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200)
    except httpx2.TransportError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
