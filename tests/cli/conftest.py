import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sentineliq.cli.app import app
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
from services.observables.providers.registry import enrichers
from shared.settings import Settings
from tests.observables.enrichment.provider import Providers, running_providers

SERVERS = {"DATABASE_URL", "CELERY_BROKER_URL", "KAFKA_BOOTSTRAP_SERVERS"}
LOGIN = {
    f"KAFKA_{name}"
    for name in ("SECURITY_PROTOCOL", "SASL_MECHANISM", "USERNAME", "PASSWORD", "CA_FILE")
}
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended."""
OWN_VARIABLES = SERVERS | LOGIN | {f"SENTINELIQ_{name.upper()}" for name in Settings.model_fields}


@pytest.fixture(scope="session")
def providers() -> Iterator[Providers]:
    """Providers on loopback, which the stack's enrichers ask."""
    with running_providers() as providers:
        yield providers


@pytest.fixture(scope="session")
def running_stack(
    tmp_path_factory: pytest.TempPathFactory, providers: Providers
) -> Iterator[Stack]:
    """Everything, as `sentineliq up` runs it, once for all tests of the command line."""
    folder = tmp_path_factory.mktemp("stack")
    for parent in (folder, *list(folder.parents)[:2]):
        parent.chmod(0o755)  # PostgreSQL runs as another user when the tests run as root
    environ = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    stack = Stack(
        folder / "data",
        Ports.free(),
        {
            **environ,
            "SENTINELIQ_OUTBOUND_ALLOW": "127.0.0.0/8",
            "SENTINELIQ_REFERENCE_DATA": "off",
            "SENTINELIQ_ENRICHER_URLS": ",".join(
                f"{name}={providers.base(name)}" for name in enrichers()
            ),
        },
    )
    with stack.running():
        yield stack


def eventually(look: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true value that a function returns."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
    return value


@dataclass
class CommandLine:
    """Calls commands in this process, as a shell would; `as_json` parses the JSON answer."""

    data_dir: Path
    tenant: str = "acme"
    runner: CliRunner = field(default_factory=CliRunner)

    def __call__(self, *arguments: str, tenant: str | None = None, **environ: str) -> Result:
        env = dict.fromkeys(OWN_VARIABLES) | {
            "SENTINELIQ_DATA_DIR": str(self.data_dir),
            "SENTINELIQ_TENANT": tenant or self.tenant,
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }
        result = self.runner.invoke(app, arguments, env={**env, **environ})
        if result.exit_code == INTERRUPTED:
            # The stack runs in this process, so that SIGTERM is Ctrl-C here: it ends the tests.
            raise KeyboardInterrupt
        return result

    def as_json(self, *arguments: str, tenant: str | None = None) -> Any:
        result = self(*arguments, "--json", tenant=tenant)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def cli(running_stack: Stack) -> CommandLine:
    return CommandLine(running_stack.data_dir)


@pytest.fixture
def cli_without_stack(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "missing")


@pytest.fixture
def blocklist(tmp_path: Path) -> str:
    path = tmp_path / "weekly list.txt"
    path.write_text(
        "# seen this week\n198.51.100.7\n198.51.100.8\nnot an address\nbad.example.com\n"
    )
    return str(path)


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, bytes]], str]]:
    """Serves documents by path on the loopback address; gives the base address."""
    servers: list[ThreadingHTTPServer] = []

    def start(documents: dict[str, bytes]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = documents.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("content-length", str(len(body or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
