"""Requests reach their service and answers their client, without what is not for the other."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from services.gateway.routing.route_map import EDGE_ROUTES
from tests.gateway.routing.conftest import RunningGateway, token

MIB = 1024 * 1024
ROUTED = [(route.prefix, route.upstream) for route in EDGE_ROUTES if route.access == "token"]


@pytest.mark.parametrize(("prefix", "service"), ROUTED)
def test_a_path_of_a_service_reaches_it_without_its_prefix(
    gateway: RunningGateway, prefix: str, service: str
) -> None:
    with gateway.client() as client:
        response = client.get(f"{prefix}/v1/echo", params={"a": "1 2", "b": service})
    assert response.status_code == 200
    assert response.json()["target"] == f"/v1/echo?a=1+2&b={service}"


@pytest.mark.parametrize("path", ["/taxii2/", "/taxii2/api/collections/", "/lists/a-list/echo"])
def test_taxii_and_lists_keep_their_paths_and_their_own_credentials(
    gateway: RunningGateway, path: str
) -> None:
    with gateway.client(None) as client:
        headers = {"Authorization": "Basic b3A6c2VjcmV0", "X-Api-Key": "of-a-service"}
        response = client.get(path, headers=headers)
    seen = response.json()
    assert seen["target"] == path
    assert ["authorization", "Basic b3A6c2VjcmV0"] in seen["headers"]
    assert ["x-api-key", "of-a-service"] in seen["headers"]


@pytest.mark.parametrize("secret", ["siq_of_nobody", "siqs_of_nobody"])
def test_credentials_of_the_gateway_reach_no_service(gateway: RunningGateway, secret: str) -> None:
    before = len(gateway.upstream.requests)
    with gateway.client(None) as client:
        for path in ("/taxii2/", "/lists/a-list/echo", "/api/feeds/v1/echo"):
            answer = client.get(path, headers={"Authorization": f"Bearer {secret}"})
            # The gateway's database, which knows them, is away in this test.
            assert answer.status_code in (401, 503), answer.text
    assert len(gateway.upstream.requests) == before


@pytest.mark.parametrize(
    "path", ["/api/feeds", "/api/feeds/", "/api/feeds/metrics", "/api/feeds/healthz", "/taxii2"]
)
def test_a_service_offers_no_more_than_its_api(gateway: RunningGateway, path: str) -> None:
    before = len(gateway.upstream.requests)
    with gateway.client() as client:
        response = client.get(path)
    assert response.status_code == 404, response.text
    assert response.json()["type"] == "urn:sentineliq:problem:not-found"
    assert len(gateway.upstream.requests) == before


FORGED = {
    "Forwarded": "for=192.0.2.9;proto=https",
    "X-Forwarded-For": "192.0.2.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X_Forwarded_For": "192.0.2.9",
    "X-Real-IP": "192.0.2.9",
    "X-Original-URL": "/v1/secret",
    "X-Rewrite-URL": "/v1/secret",
    "X-HTTP-Method-Override": "DELETE",
    "X-Remote-User": "root",
    "Remote-User": "root",
    "X-Auth-Request-User": "root",
    "X-SentinelIQ-Actor": "root",
    "X-SentinelIQ-Tenant": "other",
    "X-SentinelIQ-Role": "operator",
    "X-Tenant": "other",
    "X-SSL-Client-S-DN": "CN=root",
    "Cookie": "session=x",
    "Proxy-Authorization": "Basic eA==",
    "Via": "1.0 elsewhere",
    "True-Client-IP": "192.0.2.9",
    "Origin": "https://evil.example",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_client_cannot_say_who_or_where_it_is(gateway: RunningGateway, name: str) -> None:
    with gateway.client() as client:
        seen = client.get("/api/feeds/v1/echo", headers={name: FORGED[name]}).json()
    values = {value for _, value in seen["headers"]}
    assert FORGED[name] not in values
    sent = dict(seen["headers"])
    assert sent["x-forwarded-for"] == "127.0.0.1"
    assert sent["x-forwarded-proto"] == "http"
    assert sent["x-forwarded-host"] == f"127.0.0.1:{gateway.port}"
    assert sent["host"] == f"127.0.0.1:{gateway.upstream.port}"
    assert sent["via"] == "1.1 sentineliq"


def test_headers_for_one_hop_go_no_further(gateway: RunningGateway) -> None:
    headers = {
        "Connection": "keep-alive, Prefer, X-Hop",
        "Prefer": "return=minimal",
        "X-Hop": "1",
        "TE": "trailers",
        "Keep-Alive": "timeout=5",
        "If-None-Match": '"kept"',
        "Accept": "text/csv",
    }
    with gateway.client() as client:
        response = client.get("/api/feeds/v1/echo", headers=headers)
    sent = dict(response.json()["headers"])
    assert not {"connection", "prefer", "x-hop", "te", "keep-alive"} & set(sent)
    assert (sent["if-none-match"], sent["accept"]) == ('"kept"', "text/csv")
    assert response.headers["x-kept"] == "kept"
    assert not {"x-private", "set-cookie", "server", "access-control-allow-origin"} & set(
        response.headers
    )


def test_every_answer_has_the_security_headers(gateway: RunningGateway) -> None:
    with gateway.client() as client:
        answers = [client.get(path) for path in ("/api/feeds/v1/echo", "/healthz", "/a//b", "/no")]
        answers.append(client.options("/api/feeds/v1/echo", headers={"Origin": "https://x.test"}))
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_pass(gateway: RunningGateway, method: str) -> None:
    with gateway.client() as client:
        for _ in range(3):
            response = client.request(method, "/api/mitre/v1/echo")
            assert response.status_code == 200
    assert gateway.upstream.requests[-1].method == method


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 65536, 3 * MIB])
def test_bodies_pass_whole(gateway: RunningGateway, size: int, is_chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    def pieces() -> Iterator[bytes]:
        for start in range(0, size, 40_000):
            yield body[start : start + 40_000]

    with gateway.client() as client:
        content = pieces() if is_chunked else body
        response = client.post("/api/feeds/v1/echo", content=content)
    assert response.status_code == 200
    assert gateway.upstream.requests[-1].body == body
    assert not gateway.upstream.unreadable


@pytest.mark.parametrize("size", [0, 5, 200_000, 20 * MIB])
def test_answers_pass_whole(gateway: RunningGateway, size: int) -> None:
    with gateway.client() as client:
        response = client.get("/api/feeds/v1/bytes", params={"n": size})
    assert len(response.content) == size


def test_connections_to_a_service_are_used_again(gateway: RunningGateway) -> None:
    with gateway.client() as client:
        client.get("/api/feeds/v1/echo")
        before = gateway.upstream.connections
        for _ in range(10):
            for method in ("GET", "HEAD", "POST"):
                assert client.request(method, "/api/feeds/v1/echo").status_code == 200
            assert client.get("/api/feeds/v1/bytes?n=100000").status_code == 200
            assert client.get("/api/feeds/v1/empty").status_code == 204
    assert gateway.upstream.connections == before


def test_answers_of_unusual_forms_pass(gateway: RunningGateway) -> None:
    with gateway.client() as client:
        assert client.get("/api/feeds/v1/until-end").text == "whole"
        assert client.get("/api/feeds/v1/continue").text == "final"
        assert client.get("/api/feeds/v1/empty").status_code == 204
        assert client.get("/api/feeds/v1/twice").text == "first"
        assert client.get("/api/feeds/v1/echo").json()["method"] == "GET"


def test_events_arrive_one_by_one_and_end_with_their_reader(gateway: RunningGateway) -> None:
    ended = gateway.upstream.ended_streams
    with gateway.client() as client, client.stream("GET", "/api/observables/v1/events") as stream:
        lines = stream.iter_lines()
        numbers = [line for line, _ in zip(lines, range(6), strict=False) if line]
        assert numbers == ["data: 0", "data: 1", "data: 2"]
    wait_for(lambda: gateway.upstream.ended_streams > ended)


def test_an_upload_whose_client_goes_away_ends_at_the_service(gateway: RunningGateway) -> None:
    before = len(gateway.upstream.requests)
    opened = gateway.upstream.open_connections
    with gateway.connect() as connection:
        head = f"POST /api/feeds/v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n"
        connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + b"x" * 200_000)
        time.sleep(0.3)
    wait_for(lambda: gateway.upstream.open_connections <= opened)
    assert len(gateway.upstream.requests) == before


def test_an_early_refusal_reaches_the_client(gateway: RunningGateway) -> None:
    with gateway.connect() as connection:
        head = "POST /api/feeds/v1/refuse-early HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        connection.sendall(f"{head}{token()}\r\nContent-Length: 900000\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_flower_is_for_operators_who_need_no_second_login(gateway: RunningGateway) -> None:
    with gateway.client("admin") as client:
        assert client.get("/flower/workers").status_code == 403
    with gateway.client(None) as client:
        assert client.get("/flower/workers").status_code == 401
    with gateway.client("operator") as client:
        seen = json.loads(client.get("/flower/workers?x=1").text)
    assert seen["target"] == "/flower/workers?x=1"
    assert ["authorization", "Basic b3BlcmF0b3I6b2YtZmxvd2Vy"] in seen["headers"]
    assert not [value for name, value in seen["headers"] if "Bearer" in value]


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
