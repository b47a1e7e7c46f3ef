"""Flower and the metrics are guarded by the edge alone: revoked tokens and scopes count there."""

import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from uuid import uuid4

import pytest
from pydantic import SecretStr

from shared.auth import verify_token
from shared.keys import keys_of
from shared.settings import Settings
from tests.gateway.conftest import Browser
from tests.gateway.routing.recording_upstream import RecordingUpstream, recording_upstream

PAGES = ("/flower/api/tasks", "/metrics")
REFUSALS = {"/flower/api/tasks": 401, "/metrics": 404}
"""Of a revoked token: in production nobody learns that there are metrics."""


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with recording_upstream() as (running, _):
        yield running


@pytest.fixture
def gateway_settings(environment: Settings, upstream: RecordingUpstream) -> Settings:
    """A gateway in production mode, before Flower."""
    changes = {
        "gateway_url": "http://127.0.0.1:8000",
        "flower_url": f"http://127.0.0.1:{upstream.port}",
        "flower_basic_auth": SecretStr("operator:of-flower"),
        "production": True,
        "trusted_proxies": (ip_network("192.0.2.1/32"),),
    }
    return environment.model_copy(update=changes)


@pytest.mark.parametrize("page", PAGES)
def test_a_revoked_token_opens_nothing(
    operator: Callable[[str], Browser],
    environment: Settings,
    upstream: RecordingUpstream,
    page: str,
) -> None:
    program = operator("acme")
    assert program.get(page).status_code == 200
    token = program.client.headers["Authorization"].removeprefix("Bearer ")
    facts = verify_token(keys_of(environment), token).token
    assert facts is not None
    assert program.client.post(f"/v1/tokens/{facts.id}/revoke").status_code == 204
    deadline = time.monotonic() + 30
    while program.get(page).status_code == 200:
        assert time.monotonic() < deadline, "it still counts"
        time.sleep(0.1)
    before = len(upstream.requests)
    assert program.get(page).status_code == REFUSALS[page]
    assert len(upstream.requests) == before


@pytest.mark.parametrize(
    ("scopes", "statuses"),
    [
        (["feeds:read"], {"/flower/api/tasks": 403, "/metrics": 404}),
        (["tasks:read"], {"/flower/api/tasks": 200, "/metrics": 404}),
        (["metrics:read"], {"/flower/api/tasks": 403, "/metrics": 200}),
        (None, {"/flower/api/tasks": 200, "/metrics": 200}),
    ],
    ids=str,
)
def test_an_operators_key_opens_what_it_is_for(
    person: Callable[..., Browser],
    browser_for: Callable[[], Browser],
    scopes: list[str] | None,
    statuses: dict[str, int],
) -> None:
    owner = person(f"p{uuid4().hex[:10]}@acme.example", "acme", "operator")
    body = {"name": "scrape", "role": "operator", "scopes": scopes}
    created = owner.post("/v1/api-keys", body)
    assert created.status_code == 201, created.text
    headers = {"Authorization": f"Bearer {created.json()['key']}"}
    program = browser_for()
    seen = {page: program.client.get(page, headers=headers).status_code for page in PAGES}
    assert seen == statuses


@pytest.mark.parametrize("role", ["viewer", "analyst", "admin"])
def test_other_roles_open_neither(
    person: Callable[..., Browser], upstream: RecordingUpstream, role: str
) -> None:
    browser = person(f"p{uuid4().hex[:10]}@acme.example", "acme", role)
    assert {page: browser.get(page).status_code for page in PAGES} == {
        "/flower/api/tasks": 403,
        "/metrics": 404,
    }
    assert upstream.requests == []
