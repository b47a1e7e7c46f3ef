"""Bad input over real HTTP: a clear problem for each, and a service that goes on."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest

from shared.settings import Settings

MEGABYTE = 2**20
BEFORE_TIME = "0001-01-01T00:00:00+14:00"
AFTER_TIME = "9999-12-31T23:59:59-14:00"
NOWHERE = "ipv4-addr--00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def address(environment: Settings) -> Iterator[str]:
    """The API as it runs in production: its own process, its own server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = subprocess.Popen(
        [sys.executable, "-m", "services.observables", "api"],
        env={**os.environ, "SENTINELIQ_API_PORT": str(port)},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx2.get(f"{url}/healthz", trust_env=False)
                break
            except httpx2.TransportError:
                assert api.poll() is None
                time.sleep(0.1)
        yield url
    finally:
        api.terminate()
        assert api.wait(20) == 0


@pytest.fixture
def client(address: str, make_token: Callable[..., str]) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {make_token(role='admin')}"}
    with httpx2.Client(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
        yield client
        # Whatever was sent, the same process answers the next question.
        assert (
            client.get("/v1/lookup", params={"value": "192.0.2.1"}).json()["value"] == "192.0.2.1"
        )


def problem(answer: httpx2.Response, status: int, *texts: str) -> None:
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 5_000
    body = answer.json()
    assert body["status"] == status
    for text in texts:
        assert text in json.dumps(body), body


def test_one_value_too_many(client: httpx2.Client) -> None:
    answer = client.post("/v1/lookup", json={"values": ["192.0.2.1"] * 10_001})
    problem(answer, 422, "values", "10000")


@pytest.mark.parametrize("path", ["/v1/lookup", "/v1/extract", "/v1/sightings"])
def test_a_body_of_fifty_megabytes(client: httpx2.Client, path: str) -> None:
    body = b'{"values": ["' + b"x" * (50 * MEGABYTE) + b'"]}'
    kind = "text/plain" if path.endswith("extract") else "application/json"
    try:
        answer = client.post(path, content=body, headers={"content-type": kind})
    except httpx2.WriteError:  # it was refused before all of it was sent
        answer = client.post(path, content=iter([body]), headers={"content-type": kind})
    problem(answer, 413, "bytes")


def test_a_value_of_a_megabyte_in_a_body(client: httpx2.Client) -> None:
    answer = client.post("/v1/lookup", json={"values": ["a" * MEGABYTE]})
    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        (item,) = answer.json()["items"]
        assert item["observable"] is None
        assert item["problem"]


@pytest.mark.parametrize(
    ("request_", "status", "expected_title"),
    [
        (
            b"GET /v1/lookup?value=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
            414,
            "POST",
        ),
        (b"\x16\x03\x01 this is no request\r\n\r\n", 400, "Invalid HTTP"),
    ],
)
def test_what_no_client_sends(
    client: httpx2.Client, request_: bytes, status: int, expected_title: str
) -> None:
    with socket.create_connection(
        (client.base_url.host, client.base_url.port or 0), timeout=10
    ) as raw:
        raw.sendall(request_)
        head, _, body = b"".join(iter(lambda: raw.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert expected_title in json.loads(body)["title"]


@pytest.mark.parametrize("name", ["tag", "prefix", "under"])
def test_a_nul_in_a_filter(client: httpx2.Client, name: str) -> None:
    problem(
        client.get("/v1/observables", params={name: "a\0b"}), 422, name if name != "under" else ""
    )


def test_a_nul_in_a_value(client: httpx2.Client) -> None:
    answer = client.get("/v1/lookup", params={"value": "evil\0.com"})
    assert answer.json()["problem"]
    problem(
        client.post("/v1/sightings", json={"sightings": [{"value": "evil\0.com"}]}),
        422,
        "sightings.0.value",
    )


def test_invalid_utf8(client: httpx2.Client) -> None:
    answer = client.post(
        "/v1/lookup", content=b'{"values": ["\xff"]}', headers={"content-type": "application/json"}
    )
    assert answer.status_code in {400, 422}
    problem(answer, answer.status_code)
    problem(
        client.post("/v1/extract", content=b"caf\xe9", headers={"content-type": "text/plain"}),
        422,
        "UTF-8",
    )


@pytest.mark.parametrize("type_", ["teapot", ".*", "ipv4-addr|domain-name"])
def test_an_unknown_type(client: httpx2.Client, type_: str) -> None:
    problem(client.get("/v1/observables", params={"type": type_}), 422, "type")


@pytest.mark.parametrize(
    "path", ["observables", "observables/count", "trends", "sources", "reference", "lookup"]
)
def test_a_parameter_that_is_none(client: httpx2.Client, path: str) -> None:
    problem(client.get(f"/v1/{path}", params={"regex": ".*"}), 422, "regex")


@pytest.mark.parametrize("path", ["observables", "observables/count"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prefix", ".*"),
        ("prefix", "^evil.com"),
        ("prefix", "evil*"),
        ("prefix", "(?i)evil"),
        ("under", r".*\.evil\.com"),
        ("under", "*.evil.com"),
        ("tag", "^c2"),
        ("tag", "c2.*"),
    ],
)
def test_a_regex_in_a_filter(client: httpx2.Client, path: str, name: str, text: str) -> None:
    problem(client.get(f"/v1/{path}", params={name: text}), 422, name)


@pytest.mark.parametrize(
    "moment", [BEFORE_TIME, AFTER_TIME, "2026-02-30T00:00:00Z", "2026-11-01T25:00:00Z", "soon"]
)
def test_a_moment_that_does_not_exist(client: httpx2.Client, moment: str) -> None:
    for path, name in (
        ("/v1/lookup?value=192.0.2.1", "as_of"),
        (f"/v1/observables/{NOWHERE}", "as_of"),
        (f"/v1/observables/{NOWHERE}/explain", "as_of"),
        ("/v1/trends", "since"),
    ):
        problem(client.get(httpx2.URL(path).copy_merge_params({name: moment})), 422, name)
    for name in ("first_seen", "last_seen"):
        sighting = {"value": "192.0.2.1", name: moment}
        problem(client.post("/v1/sightings", json={"sightings": [sighting]}), 422, name)
        relation = {"from": "192.0.2.1", "to": "192.0.2.2", "kind": "resolves-to", name: moment}
        problem(client.post("/v1/relations", json={"relations": [relation]}), 422, name)


def test_the_first_and_the_last_moment_that_exist(client: httpx2.Client) -> None:
    first = "0001-01-01T00:00:00Z"
    sighting = {"value": "192.0.2.99", "first_seen": first, "last_seen": "2026-01-01T00:00:00Z"}
    assert client.post("/v1/sightings", json={"sightings": [sighting]}).status_code == 201
    view = client.get("/v1/lookup", params={"value": "192.0.2.99"}).json()["observable"]
    assert view["first_seen"] == first
    # History does not go back that far, and nothing is recorded of the future.
    for moment in (first, "9999-12-31T23:59:59Z"):
        past = {"value": "192.0.2.99", "as_of": moment}
        problem(client.get("/v1/lookup", params=past), 422, "as_of")
