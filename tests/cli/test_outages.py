"""What a person sees of an outage: each command says it within seconds, and health follows.

The servers are on loopback: one port that nobody listens at, one that accepts and says nothing, one
that answers with a status, one whose certificate nobody has signed. A name under `.invalid` does
not resolve anywhere (RFC 2606).
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from typer.testing import Result

from sentineliq.local.stack import Stack
from tests.cli.conftest import CommandLine, eventually

pytestmark = pytest.mark.timeout(180)

UNFINISHED = 3
SECONDS = 5.0
"""A person waits so long at most."""
HEALTH_SECONDS = 10.0
"""So long after that the health of the feed is right."""


class Outage(NamedTuple):
    """An outage, what commands say of it, and the health of a feed that meets it.

    Attributes:
        code: the exit code of a command whose run is tried again, or has failed.
        says: a part of what it prints.
        health: of the feed ten seconds later.
    """

    name: str
    code: int
    says: str
    health: str


OUTAGES = [
    Outage("closed", UNFINISHED, "tried again at", "unreachable"),
    Outage("unresolved", UNFINISHED, "does not resolve", "unreachable"),
    Outage("silent", UNFINISHED, "goes on", "healthy"),
    Outage("401", 1, "401", "unauthorised"),
    Outage("404", 1, "404", "gone"),
    Outage("500", UNFINISHED, "tried again at", "unreachable"),
    Outage("certificate", 1, "certificate", "unreachable"),
]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The address of each outage."""
    silent = socket.create_server(("127.0.0.1", 0))
    closed = socket.create_server(("127.0.0.1", 0))
    closed_port = closed.getsockname()[1]
    closed.close()
    plain = ThreadingHTTPServer(("127.0.0.1", 0), StatusHandler)
    unsigned = ThreadingHTTPServer(("127.0.0.1", 0), StatusHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path_factory.mktemp("certificate")))
    unsigned.socket = context.wrap_socket(unsigned.socket, server_side=True)
    for server in (plain, unsigned):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{plain.server_port}"
    yield {
        "closed": f"http://127.0.0.1:{closed_port}/list.txt",
        "unresolved": "http://feeds.invalid/list.txt",
        "silent": f"http://127.0.0.1:{silent.getsockname()[1]}/list.txt",
        **{status: f"{base}/{status}" for status in ("401", "404", "500")},
        "certificate": f"https://127.0.0.1:{unsigned.server_port}/200",
    }
    silent.close()
    for server in (plain, unsigned):
        server.shutdown()
        server.server_close()


class StatusHandler(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def self_signed(folder: Path) -> Path:
    """A certificate that no authority has signed, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    path = folder / "server.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def cli(running_stack: Stack) -> CommandLine:
    return CommandLine(running_stack.data_dir, f"outage-{uuid4().hex[:8]}")


def timed(command: Callable[[], Result]) -> tuple[Result, float]:
    started = time.monotonic()
    result = command()
    return result, time.monotonic() - started


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
def test_a_feed_that_meets_an_outage_says_so_within_seconds(
    cli: CommandLine, addresses: dict[str, str], outage: Outage
) -> None:
    result, seconds = timed(
        lambda: cli("feeds", "add", "mine", addresses[outage.name], "--format", "text")
    )
    assert seconds < SECONDS, result.output
    assert result.exit_code == outage.code, result.output
    assert outage.says in result.output

    def is_right() -> bool:
        return bool(cli.as_json("feeds", "show", "mine")["health"] == outage.health)

    eventually(is_right, HEALTH_SECONDS)
    again, seconds = timed(lambda: cli("feeds", "run", "mine"))
    assert seconds < SECONDS, again.output
    # The second run may have to wait for its turn at the host.
    assert again.exit_code in {outage.code, UNFINISHED}, again.output


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
def test_a_preview_says_what_is_wrong_within_seconds(
    cli: CommandLine, addresses: dict[str, str], outage: Outage
) -> None:
    result, seconds = timed(lambda: cli("feeds", "preview", addresses[outage.name]))
    assert seconds < SECONDS, result.output
    assert result.exit_code == 1
    assert result.stderr.strip()
    assert "Traceback" not in result.output


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
def test_a_release_that_cannot_be_fetched_says_so_within_seconds(
    cli: CommandLine, addresses: dict[str, str], outage: Outage
) -> None:
    result, seconds = timed(lambda: cli("mitre", "load", addresses[outage.name]))
    assert seconds < SECONDS, result.output
    assert result.exit_code in {1, UNFINISHED}, result.output
    assert result.stderr.strip()


def test_a_server_that_was_away_is_healthy_after_the_next_attempt(
    cli: CommandLine, serve: Callable[[dict[str, bytes]], str]
) -> None:
    documents: dict[str, bytes] = {}
    address = f"{serve(documents)}/list.txt"
    assert cli("feeds", "add", "mine", address, "--format", "text").exit_code == 1
    assert cli.as_json("feeds", "show", "mine")["health"] == "gone"
    documents["/list.txt"] = b"198.51.100.40\n"
    assert cli("feeds", "run", "mine").exit_code == 0
    assert cli.as_json("feeds", "show", "mine")["health"] == "healthy"
