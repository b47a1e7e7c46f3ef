"""The edge's routes for other proxies: nginx with them does what the gateway does."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
import yaml

from services.gateway.routing.proxy_rules import envoy_settings, nginx_settings, routed
from shared.settings import SERVICES
from tests.gateway.routing.conftest import RunningGateway, free_port, token
from tests.gateway.routing.test_forwarding import FORGED

NGINX = shutil.which("nginx")
URLS = {name: f"http://{name}.internal:8000" for name in SERVICES}


@pytest.fixture(scope="module")
def proxied(
    gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """A client of nginx before the gateway and its service."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    upstream = f"http://127.0.0.1:{gateway.upstream.port}"
    urls = dict.fromkeys(SERVICES, upstream) | {"gateway": f"http://127.0.0.1:{gateway.port}"}
    (folder / "nginx.conf").write_text(nginx_file(nginx_settings(urls, "_"), port, folder))
    command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", "nginx.conf"]
    process = subprocess.Popen(command)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until_it_answers(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(10)


def nginx_file(settings: str, port: int, folder: Path) -> str:
    """A whole file of nginx's around the settings."""
    settings = settings.replace("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{port};")
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; master_process off; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off;\n{paths}{settings} }}\n"
    )


def wait_until_it_answers(client: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "nginx refused its settings"
        with suppress(httpx2.TransportError):
            client.get("/healthz")
            return
        time.sleep(0.1)
    pytest.fail("nginx does not answer")


BEARER = {"Authorization": f"Bearer {token()}"}


def test_requests_with_a_token_go_straight_to_the_service(proxied: httpx2.Client) -> None:
    for route in routed():
        path = "/v1/name%20of/echo" if route.access == "token" else "/a%20b/echo"
        response = proxied.get(f"{route.prefix}{path}?q=a%2Fb", headers=BEARER)
        seen = response.json()
        assert seen["target"] == f"{route.target}{path}?q=a%2Fb"
        assert ["authorization", BEARER["Authorization"]] in seen["headers"]


def test_forged_headers_do_not_pass(proxied: httpx2.Client) -> None:
    seen = proxied.get("/api/feeds/v1/echo", headers=BEARER | FORGED).json()
    values = {value for _, value in seen["headers"]}
    assert values.isdisjoint(FORGED.values())
    sent = dict(seen["headers"])
    assert (sent["x-forwarded-for"], sent["x-forwarded-proto"]) == ("127.0.0.1", "http")


def test_requests_without_a_token_go_to_the_gateway(proxied: httpx2.Client) -> None:
    response = proxied.get("/api/feeds/v1/echo")
    assert response.status_code == 401
    assert response.json()["type"] == "urn:sentineliq:problem:unauthenticated"
    assert proxied.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path",
    [
        "/api/feeds//v1/echo",
        "/api/feeds/v1/../echo",
        "/api/feeds/v1/%2e%2e/echo",
        "/api/feeds/v1/echo;x",
        "/api/feeds/v1%2Fecho",
        "/api/feeds/v1/%5cecho",
        "/api/feeds/../mitre/v1/echo",
    ],
)
def test_disguised_paths_are_refused(
    proxied: httpx2.Client, gateway: RunningGateway, path: str
) -> None:
    before = len(gateway.upstream.requests)
    address = (proxied.base_url.host, proxied.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        connection.sendall(f"{head}Authorization: {BEARER['Authorization']}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert len(gateway.upstream.requests) == before


def test_bodies_pass(proxied: httpx2.Client, gateway: RunningGateway) -> None:
    body = b"x" * 3_000_000
    assert proxied.post("/api/feeds/v1/echo", content=body, headers=BEARER).status_code == 200
    assert gateway.upstream.requests[-1].body == body


def test_envoy_gets_a_route_for_each_of_the_edge() -> None:
    document = envoy_settings(URLS, "intel.example")
    assert yaml.safe_load(json.dumps(document)) == document
    [listener] = document["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    [host] = manager["route_config"]["virtual_hosts"]
    refusal, *routes, rest = host["routes"]
    assert refusal["direct_response"] == {"status": 400}
    assert [route["match"]["prefix"] for route in routes] == [
        f"{route.prefix}{route.within}" for route in routed()
    ]
    assert rest["route"]["cluster"] == "sentineliq_gateway"
    clusters = {cluster["name"] for cluster in document["static_resources"]["clusters"]}
    assert {route["route"]["cluster"] for route in host["routes"][1:]} == clusters
