"""Flower beside the stack: for its login alone, and without power over workers."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from sentineliq.local.flower import LOGIN_FILE, Flower
from sentineliq.local.ports import free_ports
from sentineliq.local.secrets import load_secrets
from sentineliq.local.stack import Stack

READY_WITHIN = 60.0


@pytest.fixture
def flower(parts: dict[str, str], tmp_path: Path) -> Iterator[Flower]:
    """One that runs."""
    [port] = free_ports(1)
    server = Flower(tmp_path, port, parts["CELERY_BROKER_URL"], "a-password-of-this-test")
    server.prepare()
    process = subprocess.Popen(
        server.command(), env={**os.environ, **server.environment}, cwd=tmp_path
    )
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not server.is_ready():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def test_it_answers_its_login_alone(flower: Flower) -> None:
    login = (flower.data_dir / LOGIN_FILE).read_text().strip()
    assert login == "operator:a-password-of-this-test"
    assert (flower.data_dir / LOGIN_FILE).stat().st_mode & 0o777 == 0o600
    assert not any(flower.password in word for word in flower.command())
    name, _, password = login.partition(":")
    with httpx2.Client(base_url=flower.url, trust_env=False) as client:
        assert client.get("/flower/workers").status_code == 401
        assert client.get("/flower/workers", auth=(name, "guess")).status_code == 401
        assert client.get("/flower/workers", auth=(name, password)).status_code == 200
        command = "/flower/api/worker/shutdown/feeds-1@host"
        assert client.post(command, auth=(name, password)).status_code == 403


def test_the_gateway_alone_gets_the_login(tmp_path: Path) -> None:
    stack = Stack(tmp_path, environ={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    password = load_secrets(tmp_path).flower_password
    own = stack.process_environment("gateway", "api")
    assert own["FLOWER_BASIC_AUTH"] == f"operator:{password}"
    assert own["SENTINELIQ_FLOWER_URL"] == f"http://127.0.0.1:{stack.ports.flower}"
    for service, kind in stack.processes:
        if (service, kind) != ("gateway", "api"):
            assert password not in str(stack.process_environment(service, kind))
    assert load_secrets(tmp_path).flower_password == password
