"""A gateway in a process of its own, before a service that writes down what it gets."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx2
import pytest
from pydantic import SecretStr

from shared.auth import RoleName, issue_token
from tests.gateway.routing.gateway_script import SECRET
from tests.gateway.routing.recording_upstream import RecordingUpstream, recording_upstream


@dataclass
class RunningGateway:
    """A gateway that serves.

    Attributes:
        port: where it listens.
        upstream: the service behind it.
        loop: on which that service runs.
        process: of the gateway.
    """

    port: int
    upstream: RecordingUpstream
    loop: asyncio.AbstractEventLoop
    process: subprocess.Popen[bytes]

    def connect(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def client(self, role: RoleName | None = "analyst") -> httpx2.Client:
        headers = {} if role is None else {"Authorization": f"Bearer {token(role)}"}
        return httpx2.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, trust_env=False, timeout=30
        )

    def metric(self, name: str) -> float:
        """The sum of all samples of a metric."""
        with self.client(None) as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def token(role: RoleName = "analyst") -> str:
    return issue_token(SecretStr(SECRET), actor="kim", tenant="acme", role=role)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_gateway(**settings: str) -> Iterator[RunningGateway]:
    """Start a service and a gateway before it."""
    with recording_upstream() as (upstream, loop):
        port = free_port()
        module = "tests.gateway.routing.gateway_script"
        changes = [f"{name}={value}" for name, value in settings.items()]
        address = f"http://127.0.0.1:{upstream.port}"
        command = [sys.executable, "-m", module, str(port), address, *changes]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            while process.stdout.readline().strip() != b"ready":
                assert process.poll() is None, "the gateway ended early"
            yield RunningGateway(port, upstream, loop, process)
        finally:
            process.kill()
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    """A gateway with short limits, for a module."""
    with running_gateway(gateway_answer_seconds="2") as running:
        yield running


@pytest.fixture
def new_gateway() -> Iterator[Callable[..., RunningGateway]]:
    """Starts gateways with settings of their own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running_gateway(**settings))
