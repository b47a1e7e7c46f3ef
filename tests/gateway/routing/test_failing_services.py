"""A service that is away, silent or broken costs its own requests a limited time, and no others."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable

import httpx2
import pytest

from tests.gateway.routing.conftest import RunningGateway, free_port, running_gateway, token

SECONDS = 2.0
"""The limit that the module's gateway has for the head of an answer."""


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/hang", 504, "upstream-timeout"),
        ("/v1/vanish", 502, "upstream-error"),
        ("/v1/nonsense", 502, "upstream-error"),
    ],
)
def test_a_service_in_trouble_is_named(
    gateway: RunningGateway, path: str, status: int, code: str
) -> None:
    with gateway.client() as client:
        started = time.monotonic()
        response = client.get(f"/api/notifications{path}")
        seconds = time.monotonic() - started
    assert response.status_code == status
    assert response.json()["type"] == f"urn:sentineliq:problem:{code}"
    assert response.json()["service"] == "notifications"
    assert response.headers["content-type"] == "application/problem+json"
    assert seconds < SECONDS + 5


def test_a_broken_answer_is_broken_for_the_client_as_well(gateway: RunningGateway) -> None:
    with gateway.client() as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get("/api/feeds/v1/break")
        assert client.get("/api/feeds/v1/echo").status_code == 200


def test_a_service_that_is_away_is_named_at_once_and_used_when_it_is_back() -> None:
    port = free_port()
    away = f"http://127.0.0.1:{port}"
    with running_gateway(mitre_url=away) as gateway, gateway.client() as client:
        started = time.monotonic()
        response = client.get("/api/mitre/v1/echo")
        assert time.monotonic() - started < 5
        assert response.status_code == 503
        assert response.json()["service"] == "mitre"
        assert response.headers["retry-after"]
        assert client.get("/api/feeds/v1/echo").status_code == 200
        back = asyncio.run_coroutine_threadsafe(_second_upstream(port), gateway.loop).result(10)
        try:
            assert client.get("/api/mitre/v1/echo").status_code == 200
        finally:
            gateway.loop.call_soon_threadsafe(back.close)


async def _second_upstream(port: int) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


def test_a_service_that_accepts_and_never_reads_ends_within_the_limit() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        settings = {"gateway_answer_seconds": "1", "feeds_url": address}
        with running_gateway(**settings) as gateway, gateway.client() as client:
            started = time.monotonic()
            response = client.post("/api/feeds/v1/echo", content=b"x" * 1000)
            assert response.status_code == 504
            assert time.monotonic() - started < 6
            assert client.get("/api/mitre/v1/echo").status_code == 200


def test_reads_on_connections_that_the_service_has_ended_are_sent_once_more(
    gateway: RunningGateway,
) -> None:
    with gateway.client() as client:
        for _ in range(3):
            assert client.get("/api/feeds/v1/echo").status_code == 200
            ending = gateway.upstream.end_connections()
            asyncio.run_coroutine_threadsafe(ending, gateway.loop).result(5)
            assert client.get("/api/feeds/v1/echo").status_code == 200


def test_a_hanging_service_leaves_the_others_their_connections(gateway: RunningGateway) -> None:
    waiting = []
    try:
        for _ in range(40):
            connection = gateway.connect()
            head = (
                f"GET /api/scheduler/v1/hang HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}"
            )
            connection.sendall(f"{head}\r\n\r\n".encode())
            waiting.append(connection)
        with gateway.client() as client:
            started = time.monotonic()
            for _ in range(20):
                assert client.get("/api/feeds/v1/echo").status_code == 200
            assert time.monotonic() - started < 5
    finally:
        for connection in waiting:
            connection.close()


def test_a_silent_stream_ends(new_gateway: Callable[..., RunningGateway]) -> None:
    gateway = new_gateway(gateway_piece_seconds="1")
    with gateway.client() as client:
        started = time.monotonic()
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get("/api/feeds/v1/stall")
        assert time.monotonic() - started < 6


def test_a_killed_gateway_leaves_no_work_at_the_service(
    new_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = new_gateway()
    with gateway.connect() as connection:
        head = f"GET /api/feeds/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}"
        connection.sendall(f"{head}\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait(10)
    deadline = time.monotonic() + 10
    while gateway.upstream.open_connections:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_services_that_are_away_are_told_by_the_health_check() -> None:
    port = free_port()
    with running_gateway(mitre_url=f"http://127.0.0.1:{port}") as gateway, gateway.client() as api:
        assert api.get("/healthz").json() == {"status": "ok"}
        # Its database is away as well, which is the gateway's own trouble.
        assert api.get("/readyz").status_code == 503
        document = api.get("/openapi.json").json()
        assert "mitre" in document["info"]["x-services-away"]
        assert "/v1/audit" in document["paths"]
