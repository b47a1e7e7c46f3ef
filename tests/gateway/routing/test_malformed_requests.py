"""What the gateway does not read in exactly one way reaches no service."""

import os
import re
import socket
from collections import Counter
from contextlib import suppress

import msgspec
import pytest

from services.gateway.routing.request_check import MalformedRequest, check_request
from tests.gateway.routing.conftest import RunningGateway, token
from tests.gateway.routing.malformed_requests import malformed_requests

COUNT = int(os.environ.get("SENTINELIQ_MALFORMED_REQUESTS", "3000"))
"""10,000 for those who have the time."""
REFUSED = {400, 401, 405, 408, 414, 431}


def answer(gateway: RunningGateway, data: bytes) -> bytes:
    """What the gateway says to some bytes, until it has said it or ended the connection."""
    with gateway.connect(timeout=20) as connection:
        with suppress(ConnectionError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
        return received


def problem_status(received: bytes) -> int:
    """The status that the first answer's problem details name."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    return int(msgspec.json.decode(body[: int(length[1])])["status"])


def test_malformed_requests_reach_no_service(gateway: RunningGateway) -> None:
    before = len(gateway.upstream.requests)
    refused = gateway.metric("sentineliq_edge_refusals_total")
    refused += gateway.metric("sentineliq_http_connections_ended_total")
    statuses: Counter[str] = Counter()
    wrong = []
    for request in malformed_requests(token(), COUNT, seed=22):
        received = answer(gateway, request.data)
        status = received[9:12].decode() if received else "none"
        statuses[status] += 1
        if not received or int(status) not in REFUSED:
            wrong.append((request.name, request.data[:200], received[:80]))
            continue
        assert problem_status(received) == int(status), request
    assert wrong == []
    arrived = gateway.upstream.requests[before:]
    assert arrived == []
    assert gateway.upstream.unreadable == []
    counted = gateway.metric("sentineliq_edge_refusals_total")
    counted += gateway.metric("sentineliq_http_connections_ended_total")
    assert counted - refused >= COUNT
    with gateway.client() as client:
        assert client.get("/api/feeds/v1/echo").status_code == 200


GOOD = [
    (b"/api/feeds/v1/feeds", b""),
    (b"/api/observables/v1/observables/ipv4-addr--1", b"x=%2e%2e%2f"),
    (b"/api/a/v1/name%20of%20it", b"q=a;b&c=%00"),
    (b"/lists/a.b/c-d_e~f!$&'()*+,=:@", b""),
    (b"/", b""),
    (b"/a/", b""),
    (b"/.well-known/x", b""),
    (b"/a..b/...", b""),
]


@pytest.mark.parametrize(("path", "query"), GOOD)
def test_good_paths_pass(path: bytes, query: bytes) -> None:
    assert check_request("GET", path, query, [(b"host", b"x:80")], "1.1") == {b"host": b"x:80"}


@pytest.mark.parametrize("host", [b"x", b"x:8000", b"[::1]:80", b"a-b.example", b"127.0.0.1:1"])
def test_good_hosts_pass(host: bytes) -> None:
    check_request("GET", b"/a", b"", [(b"host", host)], "1.1")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "host"),
        ([(b"host", b"x"), (b"host", b"x")], "header-twice"),
        ([(b"host", b"x y")], "host"),
        ([(b"host", b"x"), (b"a b", b"1")], "header"),
        ([(b"host", b"x"), (b"a", b"1\r2")], "header"),
        ([(b"host", b"x"), (b"transfer-encoding", b"gzip")], "framing"),
        (
            [(b"host", b"x"), (b"transfer-encoding", b"chunked"), (b"content-length", b"1")],
            "framing",
        ),
        ([(b"host", b"x"), (b"content-length", b"+1")], "framing"),
        ([(b"host", b"x"), (b"content-type", b"a/b")], "framing"),
        ([(b"host", b"x"), (b"content-length", b"1"), (b"expect", b"x")], "expect"),
    ],
)
def test_each_refusal_names_its_reason(headers: list[tuple[bytes, bytes]], reason: str) -> None:
    with pytest.raises(MalformedRequest) as refusal:
        check_request("POST", b"/a", b"", headers, "1.1")
    assert refusal.value.reason == reason
