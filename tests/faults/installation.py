"""An installation under test: a whole stack, clients of its services, and the world around it."""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psutil
import psycopg
from pydantic import SecretStr

from sentineliq.local.orphans import running_processes
from shared.auth import issue_token
from shared.kafka.rights import ADMINISTRATOR
from tests.faults.receivers import Outside
from tests.faults.servers import FaultyStack

TENANT = "acme"
STRANGER = "globex"
"""A tenant that must never learn anything of the other one."""
_SERVICES = ("feeds", "observables", "notifications", "scheduler")
_QUERIES = Path(__file__).with_name("sql")


class Installation:
    """A running stack and clients of its services.

    Args:
        stack: runs.
        outside: the servers outside.
        states: what the supervisor told so far: process, state and detail.
    """

    def __init__(
        self, stack: FaultyStack, outside: Outside, states: list[tuple[str, str, str]]
    ) -> None:
        self.stack = stack
        self.outside = outside
        self.states = states
        self._clients = {
            (service, tenant): self._client(service, tenant)
            for service in _SERVICES
            for tenant in (TENANT, STRANGER)
        }

    def _client(self, service: str, tenant: str) -> httpx2.Client:
        secret = SecretStr(self.stack.environment["SENTINELIQ_SECRET_KEY"])
        token = issue_token(secret, actor="kim@acme.example", tenant=tenant, role="admin")
        return httpx2.Client(
            base_url=self.stack.environment[f"SENTINELIQ_{service.upper()}_URL"],
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=20,
        )

    def request(
        self, service: str, method: str, path: str, tenant: str = TENANT, **arguments: Any
    ) -> httpx2.Response:
        """A response, whatever it is.

        Raises:
            httpx2.TransportError: there is none.
        """
        return self._clients[service, tenant].request(method, path, **arguments)

    def ask(self, service: str, method: str, path: str, **arguments: Any) -> Any:
        """The body of a success, however often it takes while the service comes back."""
        deadline = time.monotonic() + 90
        while True:
            try:
                response = self.request(service, method, path, **arguments)
                if response.status_code < 500:
                    assert response.is_success, response.text
                    return response.json()
                reason = response.text
            except httpx2.TransportError as error:
                reason = repr(error)
            assert time.monotonic() < deadline, f"{service} {path} does not come back: {reason}"
            time.sleep(0.1)

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a file of `sql/`, read past the proxy; waits for the database."""
        return self.sql((_QUERIES / f"{query}.sql").read_text(), parameters)

    def sql(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The rows of a statement, as the superuser; waits for the database."""
        deadline = time.monotonic() + 90
        while True:
            try:
                with psycopg.connect(self.database_url, autocommit=True) as connection:
                    cursor = connection.execute(statement.encode(), parameters)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the database does not come back"
                time.sleep(0.1)

    @property
    def database_url(self) -> str:
        """The database, past its proxy."""
        proxy = self.stack.switches["postgres"].proxy
        own = f":{self.stack.ports.postgres}/"
        return self.stack.environment["DATABASE_URL"].replace(f":{proxy.port}/", own)

    @property
    def brokers(self) -> dict[str, Any]:
        """What a client of Kafka needs, as its administrator, through its proxy.

        Kafka tells its clients no other address.
        """
        login = self.stack.kafka_login(ADMINISTRATOR)
        return {
            "bootstrap_servers": self.stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
            "security_protocol": login["KAFKA_SECURITY_PROTOCOL"],
            "sasl_mechanism": login["KAFKA_SASL_MECHANISM"],
            "sasl_plain_username": login["KAFKA_USERNAME"],
            "sasl_plain_password": login["KAFKA_PASSWORD"],
        }

    def pid(self, name: str) -> int:
        """A running component's process; waits for it to be there."""
        pids: list[int] = []

        def is_running() -> bool:
            pids.extend(filter(None, [running_processes(self.stack.data_dir).get(name)]))
            return bool(pids)

        wait_until(is_running, f"{name} to run")
        return pids[0]

    def children(self, name: str) -> list[int]:
        """The processes of a worker's pool."""
        return [child.pid for child in psutil.Process(self.pid(name)).children(recursive=True)]

    def valkey(self, *words: str) -> str:
        """Valkey's reply to a command, past its proxy.

        Raises:
            OSError: it does not answer.
        """
        password = self.stack.environment["CELERY_BROKER_URL"].split(":")[2].split("@")[0]
        address = ("127.0.0.1", self.stack.ports.valkey)
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(f"AUTH {password}\r\n{' '.join(words)}\r\n".encode())
            replies = b""
            while replies.count(b"\r\n") < 2 and (data := connection.recv(1 << 12)):
                replies += data
        return replies.split(b"\r\n", 1)[1].decode().strip()

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()


@contextmanager
def running_installation(
    folder: Path, *, preload: str = "sentineliq.local.preload", **settings: str
) -> Iterator[Installation]:
    """Start an installation on a folder.

    Args:
        folder: empty.
        preload: the module that the fork server imports.
        settings: further environment variables.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "JAVA_HOME", "LANG"}
    }
    states: list[tuple[str, str, str]] = []
    outside = Outside()
    with ExitStack() as cleanup:
        cleanup.callback(outside.close)
        stack = FaultyStack(
            folder,
            environ={
                **environ,
                "SENTINELIQ_OUTBOUND_ALLOW": "127.0.0.0/8",
                "SENTINELIQ_REFERENCE_DATA": "off",
                **settings,
            },
            preload=preload,
            on_state=lambda *words: states.append(words),
        )
        cleanup.callback(stack.close)
        cleanup.enter_context(stack.running())
        cleanup.callback(lambda: [each.turn_on() for each in stack.switches.values()])
        installation = Installation(stack, outside, states)
        cleanup.callback(installation.close)
        yield installation


@contextmanager
def temporary_installation(**arguments: Any) -> Iterator[Installation]:
    """Start an installation on a folder of its own, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="sentineliq-faults-") as folder:
        # PostgreSQL runs as another user when the tests run as root: it must reach its folder.
        Path(folder).chmod(0o755)
        with running_installation(Path(folder) / "data", **arguments) as installation:
            yield installation


def wait_until(
    condition: Callable[[], Any], description: str, seconds: float = 60, pause: float = 0.05
) -> None:
    """Wait until a condition is true.

    Raises:
        AssertionError: it is not within the time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {description}"
        time.sleep(pause)


def unique(name: str) -> str:
    """A name that no other load has."""
    return f"{name} {uuid4().hex[:6]}"
