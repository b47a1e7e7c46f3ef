"""Rates at the edge: by client and cost, and by address for those without a valid token."""

from collections.abc import Callable

import pytest

from services.gateway.routing.rate_limit import ENTRIES_PER_MINUTE, REFUSALS_PER_MINUTE
from tests.gateway.routing.conftest import RunningGateway


def test_a_client_pays_by_the_cost_of_its_requests(
    new_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = new_gateway(api_rate="20")  # 100 units in 5 s
    with gateway.client("admin") as client:
        answer = client.get("/api/feeds/v1/echo")
        assert answer.headers["ratelimit-policy"] == '"client";q=100;w=5'
        assert answer.headers["ratelimit"].startswith('"client";r=99;t=')
        answer = client.post("/api/observables/v1/lookup", json={"values": ["a"]})
        assert answer.headers["ratelimit"].startswith('"client";r=74;t=')
        statuses = [client.post("/api/observables/v1/lookup").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = client.post("/api/observables/v1/lookup")
        assert refused.json()["type"] == "urn:sentineliq:problem:rate-exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert refused.json()["cost"] == 25
        assert client.get("/api/feeds/v1/echo").status_code == 200, "a read still fits"


def test_guessing_ends_and_valid_tokens_go_on(new_gateway: Callable[..., RunningGateway]) -> None:
    gateway = new_gateway(api_rate="1000")
    with gateway.client(None) as guesser, gateway.client() as client:
        headers = {"Authorization": "Bearer eyJhbGciOiJFZDI1NTE5In0.e30.AAAA"}
        statuses = [
            guesser.get("/api/feeds/v1/echo", headers=headers).status_code
            for _ in range(REFUSALS_PER_MINUTE + 10)
        ]
        assert statuses[:REFUSALS_PER_MINUTE] == [401] * REFUSALS_PER_MINUTE
        assert set(statuses[REFUSALS_PER_MINUTE:]) == {429}
        assert client.get("/api/feeds/v1/echo").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sign-in"),
        ("POST", "/v1/sign-in/provider/logout?provider=none"),
        ("GET", "/v1/sign-in/provider?provider=none"),
        ("GET", "/api/gateway/v1/sign-in/provider?provider=none"),
        ("POST", "/v1/sign-in/passkey/begin"),
        ("POST", "/console/sign-in/passkey"),
        ("POST", "/console/sign-in/passkey/begin"),
    ],
)
def test_an_address_whose_sign_ins_are_refused_has_to_wait(
    new_gateway: Callable[..., RunningGateway], method: str, path: str
) -> None:
    gateway = new_gateway(api_rate="1000", trusted_proxies="127.0.0.1/32")
    with gateway.client(None) as client:

        def ask(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return client.request(method, path, headers=headers).status_code

        hosts = [f"2001:db8::{number:x}" for number in range(ENTRIES_PER_MINUTE)]
        refusals = {ask(host) for host in hosts}
        assert refusals in ({422}, {403})
        assert ask("2001:db8::ffff") == 429, "of the same network"
        assert {ask("2001:db8:0:1::1")} == refusals
        sent = {"X-Forwarded-For": "2001:db8::1"}
        refused = client.request(method, path, headers=sent)
        assert int(refused.headers["retry-after"]) == 60
        assert client.get("/healthz", headers=sent).status_code == 200
