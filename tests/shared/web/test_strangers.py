"""What peers without a token can do to an API: a real server in a process of its own meets them."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

import httpx2
import psutil
import pytest
from pydantic import SecretStr

from shared.auth import RoleName, issue_token
from shared.web.protocol import HEAD_SECONDS, MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET
from tests.shared.web.api_script import SECRET

MIB = 1024 * 1024


class Api(NamedTuple):
    port: int
    process: psutil.Process

    @property
    def resident(self) -> int:
        return int(self.process.memory_info().rss)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def client(self, role: RoleName | None = "admin") -> httpx2.Client:
        headers = {} if role is None else {"Authorization": f"Bearer {token(role)}"}
        return httpx2.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, trust_env=False, timeout=30
        )


def token(role: RoleName = "admin") -> str:
    return issue_token(SecretStr(SECRET), actor="kim", tenant="acme", role=role)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.shared.web.api_script", str(port)]
    process = subprocess.Popen(command)
    api = Api(port, psutil.Process(process.pid))
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx2.TransportError), api.client() as client:
                client.get("/v1/hello").raise_for_status()
                client.get("/openapi.json").raise_for_status()
                break
            time.sleep(0.1)
        yield api
    finally:
        process.terminate()
        process.wait(30)


def answer(connection: socket.socket) -> bytes:
    """Everything that the server sends until it ends the connection."""
    received = b""
    with suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


def send(connection: socket.socket, data: bytes) -> int:
    """Send until the server ends the connection; how many bytes it let itself be sent."""
    size = 0
    with suppress(OSError):
        while size < len(data):
            size += connection.send(data[size : size + 65536])
    return size


def test_headers_have_a_limit_of_bytes_and_of_number(api: Api) -> None:
    with api.client() as client:
        long = client.get("/v1/hello", headers={"x": "a" * MAX_HEADER_BYTES})
        many = client.get("/v1/hello", headers={f"x-{n}": "a" for n in range(MAX_HEADERS)})
        fine = client.get("/v1/hello", headers={"x": "a" * (MAX_HEADER_BYTES - 1024)})
    assert [long.status_code, many.status_code, fine.status_code] == [431, 431, 200]
    assert long.json()["type"] == "urn:sentineliq:problem:headers-too-large"
    with api.connect() as connection:
        send(connection, b"GET /v1/hello?q=" + b"a" * MAX_TARGET + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 414 ")


def test_headers_without_end_are_not_kept(api: Api) -> None:
    before = api.resident
    with api.connect() as connection:
        connection.sendall(b"GET /v1/hello HTTP/1.1\r\nHost: x\r\nx: ")
        took = send(connection, b"a" * (64 * MIB))
        assert b" 431 " in answer(connection).partition(b"\r\n")[0] or took < 64 * MIB
    assert took < 8 * MIB  # what the kernel holds, and little more
    assert api.resident - before < 8 * MIB


def test_trailers_without_end_are_not_kept(api: Api) -> None:
    before = api.resident
    head = f"POST /v1/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n"
    with api.connect() as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: ".encode())
        took = send(connection, b"a" * (64 * MIB))
    assert took < 8 * MIB
    assert api.resident - before < 8 * MIB


@pytest.mark.parametrize("path", ["/v1/body", "/v1/upload", "/nowhere", "/v1/hello"])
def test_the_token_is_refused_before_the_body_is_read(api: Api, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no.such.token\r\n"
    with api.connect() as connection:
        connection.sendall(f"{head}Content-Length: 8000000\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_the_role_is_refused_before_the_body_is_read(api: Api) -> None:
    head = f"POST /v1/body HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('viewer')}\r\n"
    with api.connect() as connection:
        connection.sendall(f"{head}Content-Length: 8000000\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 403 ")


def test_a_body_of_a_stranger_is_neither_kept_nor_read_to_its_end(api: Api) -> None:
    before = api.resident
    head = b"POST /v1/body HTTP/1.1\r\nHost: x\r\nContent-Length: 64000000\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(api.connect())
            assert send(connection, head + b"[" * (64 * MIB)) < 16 * MIB
        assert api.resident - before < 32 * MIB


def test_whoever_has_a_token_finds_room_beside_a_thousand_who_have_none(api: Api) -> None:
    before = api.resident
    with ExitStack() as stack:
        for number in range(1_000):
            connection = stack.enter_context(api.connect())
            if number % 2:
                send(connection, b"GET /v1/hello HTTP/1.1\r\nx: " + b"a" * 30_000)
        for _ in range(20):
            with api.client() as client:
                assert client.get("/v1/hello").json() == "kim"
        assert api.resident - before < 32 * MIB
        own = psutil.Process().net_connections("tcp")
        to_api = [each for each in own if each.raddr and each.raddr.port == api.port]
        assert sum(each.status == psutil.CONN_ESTABLISHED for each in to_api) <= 128


def test_a_connection_with_a_token_stays_while_strangers_come(api: Api) -> None:
    with api.client() as client, ExitStack() as stack:
        client.get("/v1/hello").raise_for_status()
        with api.connect() as own:
            own.sendall(
                f"POST /v1/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n"
                "Content-Length: 4\r\nConnection: close\r\n\r\nab".encode()
            )
            time.sleep(0.2)
            for _ in range(300):
                stack.enter_context(api.connect())
            own.sendall(b"cd")
            assert answer(own).endswith(b"4")


def test_a_head_that_trickles_ends_in_time(api: Api) -> None:
    started = time.monotonic()
    with api.connect() as connection:
        connection.settimeout(2 * HEAD_SECONDS)
        with suppress(OSError):
            connection.sendall(b"GET /v1/hello HTTP/1.1\r\n")
            while time.monotonic() - started < 3 * HEAD_SECONDS:
                connection.sendall(b"x: y\r\n")
                time.sleep(1)
        assert time.monotonic() - started < 3 * HEAD_SECONDS
    with api.connect() as silent:
        silent.settimeout(3 * HEAD_SECONDS)
        assert b" 408 " in answer(silent)


def test_pipelined_requests_have_a_limit(api: Api) -> None:
    before = api.resident
    with api.connect() as connection:
        send(connection, b"GET /v1/hello HTTP/1.1\r\nHost: x\r\n\r\n" * 100_000)
        received = answer(connection)
    assert received.count(b"HTTP/1.1 ") < 100_000
    assert api.resident - before < 16 * MIB


def test_json_has_a_depth_and_a_number_of_containers(api: Api) -> None:
    with api.client() as client:
        headers = {"content-type": "application/json"}

        def status(body: str) -> int:
            return client.post("/v1/body", content=body.encode(), headers=headers).status_code

        assert status("[" * 64 + "]" * 64) == 200
        assert status("[" * 65 + "]" * 65) == 422
        assert status("[" * 100_000) == 422
        assert status("[" + "[]," * 300_000 + "[]]") == 413
        assert status('["' + "[" * 1_000 + '"]') == 200
        assert status(r'["\"[' + "[" * 1_000 + r'\\"]') == 200


def test_a_request_goes_on_where_its_client_is_honest(api: Api) -> None:
    with api.client() as client:
        assert client.post("/v1/upload", content=b"x" * (9 * MIB)).json() == 9 * MIB
        assert client.post("/v1/body", json=["x" * 100] * 50_000).json() == 50_000
        assert client.post("/v1/body", json=["x" * 100] * 90_000).status_code == 413
        assert client.get("/v1/hello").json() == "kim"
