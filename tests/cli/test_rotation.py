"""All keys and logins of a running stack are replaced under load: `sentineliq secrets`."""

import asyncio
import http.client
import json
import os
import signal
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr

from sentineliq.local.environment import stored_environment
from sentineliq.local.orphans import running_processes
from sentineliq.local.ports import Ports
from sentineliq.local.secrets import load_secrets
from sentineliq.local.stack import Stack
from shared.auth import issue_token
from shared.crypto import Sealer
from shared.kafka.cluster import administrator
from shared.keys import CHANNEL_SECRETS, FEED_CREDENTIALS
from shared.settings import SERVICES, Settings
from tests.cli.conftest import OWN_VARIABLES, CommandLine, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ENDS_WITHIN = 5.0
"""Seconds after which nothing of a revoked key or login is valid."""
FEED_TOKEN = "of-the-provider"
SIGNING_SECRET = f"whsec_{b64encode(b's' * 32).decode()}"
PATHS = {
    "gateway": "/v1/members",
    "feeds": "/v1/feeds",
    "observables": "/v1/lookup?value=198.51.100.7",
    "notifications": "/v1/channels",
    "mitre": "/v1/releases",
    "scheduler": "/v1/schedules",
}


@dataclass
class Neighbour:
    """A provider and a receiver of webhooks: counts what comes with the right secret."""

    url: str
    fetched: int = 0
    signed: int = 0
    wrong: list[str] = field(default_factory=list)

    def note_fetch(self, authorization: str | None) -> None:
        if authorization == f"Bearer {FEED_TOKEN}":
            self.fetched += 1
        else:
            self.wrong.append(str(authorization))

    def note_webhook(self, headers: Any, body: bytes) -> None:
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = b64encode(digest(b"s" * 32, content, sha256)).decode()
        if headers["webhook-signature"] == f"v1,{signature}":
            self.signed += 1
        else:
            self.wrong.append(str(headers["webhook-signature"]))


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Neighbour]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place.note_fetch(self.headers["authorization"])
            self._answer(200, b"198.51.100.7\n198.51.100.8\n")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            place.note_webhook(self.headers, body)
            self._answer(204, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    place = Neighbour(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield place
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this module's own: others would go on with its former secret."""
    environ = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    own = {"SENTINELIQ_OUTBOUND_ALLOW": "127.0.0.0/8", "SENTINELIQ_REFERENCE_DATA": "off"}
    stack = Stack(tmp_path_factory.mktemp("rotated") / "data", Ports.free(), {**environ, **own})
    with stack.running():
        yield stack


@pytest.fixture
def command(stack: Stack) -> CommandLine:
    return CommandLine(stack.data_dir)


def call(stack: Stack, token: str, service: str, path: str, body: Any = None) -> tuple[int, bytes]:
    address = urlsplit(stack.environment[f"SENTINELIQ_{service.upper()}_URL"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=15)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body)
    try:
        connection.request("POST" if body is not None else "GET", path, content, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def present_token(data_dir: Path) -> str:
    """A token as the command line makes it at this moment."""
    secret = SecretStr(stored_environment(data_dir)["SENTINELIQ_SECRET_KEY"])
    return issue_token(secret, actor="kim", tenant="acme", role="admin")


@dataclass
class Load:
    """Requests that are all valid, from several threads; and what was not answered with success."""

    stack: Stack
    former_token: str
    channel: str
    count: int = 0
    failures: list[str] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        works = (self._read, self._read, self._upload, self._send)
        threads = [threading.Thread(target=self._repeat, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def _repeat(self, work: Any) -> None:
        while not self._is_over.is_set():
            for token in (self.former_token, present_token(self.stack.data_dir)):
                try:
                    work(token)
                except OSError as error:
                    self.failures.append(repr(error))
            time.sleep(0.02)

    def _check(self, *arguments: Any) -> None:
        status, body = call(self.stack, *arguments)
        self.count += 1
        if not 200 <= status < 300:
            self.failures.append(f"{arguments[1:3]}: {status} {body[:200]!r}")

    def _read(self, token: str) -> None:
        for service in SERVICES:
            self._check(token, service, PATHS[service])

    def _upload(self, token: str) -> None:
        address = f"/v1/preview/document?name=list-{self.count}.txt"
        self._check(token, "feeds", address, "198.51.100.9")

    def _send(self, token: str) -> None:
        status, body = call(
            self.stack, token, "notifications", f"/v1/channels/{self.channel}/test", {}
        )
        self.count += 1
        if status != 200 or json.loads(body)["state"] != "delivered":
            self.failures.append(f"sample: {status} {body[:300]!r}")


@pytest.fixture(scope="module")
def channel(stack: Stack, neighbour: Neighbour) -> str:
    body = {
        "name": "desk",
        "kind": "webhook",
        "config": {"url": f"{neighbour.url}/hook"},
        "secret": SIGNING_SECRET,
    }
    token = present_token(stack.data_dir)
    status, answer = call(stack, token, "notifications", "/v1/channels", body)
    assert status == 201, answer
    return str(json.loads(answer)["id"])


@pytest.fixture(scope="module")
def feed(stack: Stack, neighbour: Neighbour) -> str:
    auth = {"kind": "bearer", "token": FEED_TOKEN}
    body = {"name": "paid", "url": f"{neighbour.url}/list", "format": "text", "auth": auth}
    status, answer = call(stack, present_token(stack.data_dir), "feeds", "/v1/feeds", body)
    assert status == 201, answer
    return str(json.loads(answer)["id"])


def fetch(stack: Stack, feed: str, neighbour: Neighbour) -> None:
    """Let the feed be fetched with its stored token."""
    before = neighbour.fetched
    token = present_token(stack.data_dir)
    status, answer = call(stack, token, "feeds", f"/v1/feeds/{feed}/runs", {})
    assert status == 202, answer
    eventually(lambda: neighbour.fetched > before, 60)


def logins_of(data_dir: Path) -> list[str]:
    """The addresses of all logins that processes and the command line use now."""
    environment = stored_environment(data_dir)
    own = [
        json.loads((data_dir / "keys" / f"{service}.json").read_text())["urls"]["database_url"]
        for service in SERVICES
    ]
    return [*own, environment["DATABASE_URL"], environment["CELERY_BROKER_URL"]]


def kafka_settings(stack: Stack, service: str) -> Settings:
    """The settings of a service's process with the login of Kafka that its key file has now."""
    path = stack.data_dir / "keys" / f"{service}.json"
    urls = json.loads(path.read_text())["urls"]
    return Settings(
        database_url=SecretStr("x"),
        celery_broker_url=SecretStr("x"),
        secret_key=SecretStr("x" * 40),
        data_dir=stack.data_dir,
        kafka_bootstrap_servers=stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism=urls["kafka_sasl_mechanism"],
        kafka_username=service,
        kafka_password=SecretStr(urls["kafka_password"]),
    )


def takes_login(settings: Settings) -> bool:
    """Whether Kafka takes a login now, for a new connection."""

    async def connect() -> None:
        async with asyncio.timeout(15), administrator(settings):
            pass

    try:
        asyncio.run(connect())
    except KafkaConnectionError:
        return False
    return True


def is_valid(url: str) -> bool:
    try:
        if url.startswith("redis"):
            with redis.Redis.from_url(url) as client:
                client.ping()
        else:
            psycopg.connect(url).close()
    except (psycopg.OperationalError, redis.AuthenticationError):
        return False
    return True


def sealed_prefixes(data_dir: Path) -> set[bytes]:
    with psycopg.connect(stored_environment(data_dir)["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT secret FROM feeds.feed WHERE secret IS NOT NULL "
            "UNION ALL SELECT secret FROM notifications.channel WHERE secret IS NOT NULL"
        ).fetchall()
    assert len(rows) >= 2
    return {bytes(row[0][:7]) for row in rows}


def test_nothing_valid_is_refused_while_everything_is_replaced(
    stack: Stack, command: CommandLine, neighbour: Neighbour, channel: str, feed: str
) -> None:
    fetch(stack, feed, neighbour)
    former_token = present_token(stack.data_dir)
    former_logins = logins_of(stack.data_dir)
    former_kafka = [kafka_settings(stack, service) for service in SERVICES]
    before = load_secrets(stack.data_dir)
    assert all(is_valid(url) for url in former_logins)
    assert all(takes_login(settings) for settings in former_kafka)
    load = Load(stack, former_token, channel)
    with load.running():
        time.sleep(2)
        result = command("secrets", "rotate")
        time.sleep(4)
    assert result.exit_code == 0, result.output
    assert load.failures == []
    assert load.count > 100
    after = load_secrets(stack.data_dir)
    assert after.secret_key != before.secret_key
    assert [url for url in former_logins if is_valid(url)] == []
    assert all(is_valid(url) for url in logins_of(stack.data_dir))
    assert not any(takes_login(settings) for settings in former_kafka)
    assert all(takes_login(kafka_settings(stack, service)) for service in SERVICES)
    assert before.secret_key not in (stack.data_dir / "secrets.json").read_text()
    present = {
        Sealer(after.keys, purpose).prefix for purpose in (FEED_CREDENTIALS, CHANNEL_SECRETS)
    }
    assert sealed_prefixes(stack.data_dir) == present
    assert {prefix[:1] for prefix in present} == {b"\2"}, "they name the new keys"
    fetch(stack, feed, neighbour)
    assert neighbour.wrong == []
    assert neighbour.signed > 0
    eventually(lambda: command("doctor").exit_code == 0, 60)


def test_nothing_of_the_former_keys_is_valid_after_a_rotation_at_once(
    stack: Stack, command: CommandLine, neighbour: Neighbour, channel: str, feed: str
) -> None:
    former_token = present_token(stack.data_dir)
    former_logins = logins_of(stack.data_dir)
    former_kafka = [kafka_settings(stack, service) for service in SERVICES]
    with psycopg.connect(former_logins[0], autocommit=True) as session:
        result = command("secrets", "rotate", "--now")
        assert result.exit_code == 0, result.output
        ended_at = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    new_token = present_token(stack.data_dir)
    for service in SERVICES:
        eventually(
            lambda name=service: call(stack, former_token, name, PATHS[name])[0] == 401,
            ENDS_WITHIN,
        )
        assert call(stack, new_token, service, PATHS[service])[0] == 200
    assert time.monotonic() - ended_at < ENDS_WITHIN
    assert [url for url in former_logins if is_valid(url)] == []
    assert not any(takes_login(settings) for settings in former_kafka)
    fetch(stack, feed, neighbour)
    status, answer = call(stack, new_token, "notifications", f"/v1/channels/{channel}/test", {})
    assert (status, json.loads(answer)["state"]) == (200, "delivered")
    assert neighbour.wrong == []


def test_a_former_key_is_listed_and_revoked(stack: Stack, command: CommandLine) -> None:
    former_token = present_token(stack.data_dir)
    assert command("secrets", "rotate", "--days", "3").exit_code == 0
    documents = command.as_json("secrets", "list")
    # The gateway has a key of its own for the tokens that it gives.
    tokens = [
        document
        for document in documents
        if (document["purpose"], document["owner"]) == ("tokens", "operator")
    ]
    [former] = [document for document in tokens if document["state"].startswith("former")]
    [present] = [document for document in tokens if document["state"] == "in use"]
    assert "3.0 days" in former["state"]
    text = command("secrets", "list").output + json.dumps(documents)
    secrets = load_secrets(stack.data_dir)
    for word in (secrets.secret_key, secrets.valkey_password, secrets.database_password):
        assert word not in text
    assert call(stack, former_token, "mitre", PATHS["mitre"])[0] == 200
    assert "is in use" in command("secrets", "revoke", present["id"]).stderr
    assert "is no key" in command("secrets", "revoke", "0" * 12).stderr
    assert command("secrets", "revoke", former["id"]).exit_code == 0
    for service in SERVICES:
        eventually(
            lambda name=service: call(stack, former_token, name, PATHS[name])[0] == 401,
            ENDS_WITHIN,
        )
    assert call(stack, present_token(stack.data_dir), "mitre", PATHS["mitre"])[0] == 200


def test_processes_whose_connections_break_after_a_rotation_log_in_again(
    stack: Stack, command: CommandLine
) -> None:
    """A client of Kafka keeps its password; what it opens later needs the present one."""
    assert command("secrets", "rotate").exit_code == 0
    [kafka] = [pid for name, pid in running_processes(stack.data_dir).items() if name == "kafka"]
    os.kill(kafka, signal.SIGKILL)
    eventually(lambda: running_processes(stack.data_dir).get("kafka") not in {None, kafka}, 60)
    token = present_token(stack.data_dir)
    body = {"sightings": [{"value": "198.51.100.77"}]}
    assert call(stack, token, "observables", "/v1/sightings", body)[0] in {200, 201, 202}
    eventually(lambda: command("doctor").exit_code == 0, 90)
    assert all(takes_login(kafka_settings(stack, service)) for service in SERVICES)


def test_a_stack_that_starts_again_goes_on_with_the_new_secrets(
    stack: Stack, neighbour: Neighbour
) -> None:
    secrets = load_secrets(stack.data_dir)
    again = Stack(stack.data_dir, stack.ports, stack.environ)
    assert again.environment["SENTINELIQ_SECRET_KEY"] == secrets.secret_key
    assert again.environment["DATABASE_URL"] == stored_environment(stack.data_dir)["DATABASE_URL"]
    for service in SERVICES:
        assert is_valid(again.process_environment(service, "api")["DATABASE_URL"])
