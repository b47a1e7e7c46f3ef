"""Clients that vanish while a service works for them: their places are free again at once."""

import asyncio
import socket
import time
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from services.gateway.routing.failures import TooManyUnderWay
from services.gateway.routing.upstream import Origin
from services.gateway.routing.upstream_pool import MAX_OF_OWNER, UpstreamPool
from shared.auth import issue_token
from tests.gateway.routing.conftest import RunningGateway, token
from tests.gateway.routing.gateway_script import SECRET
from tests.gateway.routing.recording_upstream import recording_upstream


@pytest.fixture
def gateway(new_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    """A gateway that waits long for its services."""
    return new_gateway(gateway_answer_seconds="60", api_rate="100000")


def begin(gateway: RunningGateway, method: str, bearer: str) -> socket.socket:
    """Send a request that the service never answers."""
    line = gateway.connect()
    body = "content-length: 2\r\n\r\n{}" if method == "POST" else "\r\n"
    head = f"{method} /api/feeds/v1/hang HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
    line.sendall((head + body).encode())
    return line


def until(check: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


def test_reads_of_vanished_clients_give_their_places_back(gateway: RunningGateway) -> None:
    lines = [begin(gateway, "GET", token("viewer")) for _ in range(MAX_OF_OWNER)]
    assert until(lambda: len(gateway.upstream.requests) == MAX_OF_OWNER)
    with gateway.client() as client:
        assert client.get("/api/feeds/v1/echo").status_code == 429, "all places are taken"
        for line in lines:
            line.close()
        # Far below the minute for which the gateway waits for a service.
        assert until(lambda: client.get("/api/feeds/v1/echo").status_code == 200)


def test_a_change_of_a_vanished_client_comes_to_its_end(gateway: RunningGateway) -> None:
    line = begin(gateway, "POST", token("admin"))
    assert until(lambda: len(gateway.upstream.requests) == 1)
    line.close()
    time.sleep(1.0)
    assert gateway.upstream.open_connections == 1, "the service goes on"
    assert gateway.metric("sentineliq_edge_requests_total") >= 1, "and the edge does not wait"
    with gateway.client() as client:
        assert client.get("/api/feeds/v1/echo").status_code == 200


def test_one_tenant_leaves_places_for_the_others(gateway: RunningGateway) -> None:
    lines = [begin(gateway, "GET", token("viewer")) for _ in range(MAX_OF_OWNER)]
    try:
        assert until(lambda: len(gateway.upstream.requests) == MAX_OF_OWNER)
        with gateway.client() as client:
            refused = client.get("/api/feeds/v1/echo")
            assert refused.status_code == 429, refused.text
            assert refused.headers["retry-after"] == "1"
            other = issue_token(SecretStr(SECRET), actor="lee", tenant="globex", role="viewer")
            headers = {"Authorization": f"Bearer {other}"}
            assert client.get("/api/feeds/v1/echo", headers=headers).status_code == 200
    finally:
        for line in lines:
            line.close()
    with gateway.client() as client:
        assert until(lambda: client.get("/api/feeds/v1/echo").status_code == 200)


def test_a_share_is_given_back() -> None:
    with recording_upstream() as (upstream, _):

        async def use() -> None:
            pool = UpstreamPool(Origin("feeds", "127.0.0.1", upstream.port), limit=4)
            first = await pool.acquire("acme")
            second = await pool.acquire("acme")
            with pytest.raises(TooManyUnderWay):
                await pool.acquire("acme")
            pool.release(await pool.acquire("globex"), "globex")
            pool.release(first, "acme")
            pool.release(await pool.acquire("acme"), "acme")
            pool.release(second, "acme")
            for _ in range(10):
                pool.release(await pool.acquire("acme"), "acme")
            pool.close()
            # The transports end in the loop's next turn.
            await asyncio.sleep(0.1)

        asyncio.run(use())
