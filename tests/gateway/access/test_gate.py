"""The gate of the edge: what a service gets of a session or an API key, and what it never gets."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from shared.auth import Principal, Role, verify_token
from shared.errors import Unauthenticated
from shared.keys import keys_of
from shared.settings import Settings
from tests.gateway.conftest import Browser
from tests.gateway.routing.recording_upstream import (
    RecordedRequest,
    RecordingUpstream,
    recording_upstream,
)

PersonFor = Callable[..., Browser]
BrowserFor = Callable[[], Browser]
SERVICES = ("feeds", "observables", "notifications", "mitre", "scheduler")
FORGED = {
    "X-Forwarded-User": "root",
    "X-Remote-User": "root",
    "X-Sentineliq-Role": "operator",
    "X-Forwarded-For": "192.0.2.1",
    "Forwarded": "for=192.0.2.1",
}


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with recording_upstream() as (running, _):
        yield running


@pytest.fixture
def gateway_settings(environment: Settings, upstream: RecordingUpstream) -> Settings:
    """All services are the one that writes down what it gets."""
    address = f"http://127.0.0.1:{upstream.port}"
    urls = {f"{service}_url": address for service in SERVICES}
    return environment.model_copy(update={"gateway_url": "http://127.0.0.1:8000", **urls})


def new_login() -> str:
    return f"p{uuid4().hex[:10]}@acme.example"


def new_tenant() -> str:
    return f"t{uuid4().hex[:10]}"


def principal_of(request: RecordedRequest, settings: Settings, service: str) -> Principal:
    [authorization] = request.header("authorization")
    return verify_token(keys_of(settings), authorization.removeprefix("Bearer "), service)


def make_key(owner: Browser, **fields: Any) -> str:
    created = owner.post("/v1/api-keys", {"name": "curl", **fields})
    assert created.status_code == 201, created.text
    return str(created.json()["key"])


@pytest.mark.parametrize("role", list(Role))
def test_a_service_gets_a_token_for_itself_alone(
    person: PersonFor, environment: Settings, upstream: RecordingUpstream, role: Role
) -> None:
    tenant = new_tenant()
    browser = person(new_login(), tenant, role.name)
    for service in SERVICES:
        answer = browser.get(f"/api/{service}/v1/echo", headers=FORGED)
        assert answer.status_code == 200, answer.text
        request = upstream.requests[-1]
        principal = principal_of(request, environment, service)
        assert principal == Principal(browser.session["login"], tenant, role)
        assert principal.token is not None
        assert principal.token.grant == f"session:{browser.session['session_id']}"
        other = "mitre" if service != "mitre" else "feeds"
        with pytest.raises(Unauthenticated, match="not for"):
            principal_of(request, environment, other)
        assert request.header("cookie") == []
        assert not {value for _, value in request.headers if value in ("root", "operator")}
        assert request.header("x-forwarded-for") == ["testclient"]


def test_an_api_key_becomes_a_token_with_its_scopes(
    person: PersonFor, browser_for: BrowserFor, environment: Settings, upstream: RecordingUpstream
) -> None:
    tenant = new_tenant()
    owner = person(new_login(), tenant, "admin")
    key = make_key(owner, role="analyst", scopes=["feeds:read"])
    headers = {"Authorization": f"Bearer {key}"}
    answer = browser_for().client.get("/api/feeds/v1/echo", headers=headers)
    assert answer.status_code == 200, answer.text
    principal = principal_of(upstream.requests[-1], environment, "feeds")
    scopes = frozenset({"feeds:read"})
    assert principal == Principal(owner.session["login"], tenant, Role.analyst, None, scopes)
    assert key not in str(upstream.requests)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        FORGED,
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer siq_000000000000_" + "0" * 49},
        {"Authorization": "Bearer siqs_" + "0" * 43},
        {"Authorization": "Bearer siqb_" + "0" * 43},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
        {"Authorization": "Basic cm9vdDpyb290"},
        {"Cookie": "__Host-sentineliq=siqb_" + "0" * 43},
        {"Cookie": "__Host-sentineliq=siqs_" + "0" * 43},
        {"Cookie": "sentineliq=siqb_" + "0" * 43},
    ],
    ids=str,
)
def test_nobody_passes_who_shows_nothing_valid(
    browser_for: BrowserFor, upstream: RecordingUpstream, headers: dict[str, str]
) -> None:
    browser = browser_for()
    before = len(upstream.requests)
    assert browser.client.get("/api/feeds/v1/echo", headers=headers).status_code == 401
    assert browser.client.get("/v1/sessions", headers=headers).status_code == 401
    assert len(upstream.requests) == before


def test_a_change_without_the_csrf_token_reaches_no_service(
    person: PersonFor, upstream: RecordingUpstream
) -> None:
    browser = person(new_login())
    before = len(upstream.requests)
    for headers in ({"X-CSRF-Token": "wrong"}, {"Origin": "https://evil.example"}):
        answer = browser.post("/api/feeds/v1/feeds", {"name": "x"}, headers=headers)
        assert answer.status_code == 403
    assert len(upstream.requests) == before
    assert browser.post("/api/feeds/v1/echo", {"name": "x"}).status_code == 200


def test_what_has_ended_reaches_no_service_after_a_second(
    person: PersonFor, browser_for: BrowserFor, upstream: RecordingUpstream
) -> None:
    tenant = new_tenant()
    admin = person(new_login(), tenant, "admin")
    member = person(new_login(), tenant)
    key = {"Authorization": f"Bearer {make_key(member)}"}
    program = browser_for()
    assert program.client.get("/api/feeds/v1/echo", headers=key).status_code == 200
    assert member.get("/api/feeds/v1/echo").status_code == 200
    place = f"/v1/members/{member.session['person_id']}"
    assert admin.request("PATCH", place, json={"frozen": True}).status_code == 200
    time.sleep(1.1)
    before = len(upstream.requests)
    assert program.client.get("/api/feeds/v1/echo", headers=key).status_code == 401
    assert member.get("/api/feeds/v1/echo").status_code == 401
    assert len(upstream.requests) == before


def test_a_request_for_a_tenant_of_others_reaches_no_service(
    person: PersonFor, upstream: RecordingUpstream
) -> None:
    stranger = new_tenant()
    person(new_login(), stranger, "admin")
    browser = person(new_login(), new_tenant(), "admin")
    before = len(upstream.requests)
    titles = set()
    for tenant in (stranger, new_tenant(), "*", "public"):
        answer = browser.get("/api/feeds/v1/echo", headers={"Sentineliq-Tenant": tenant})
        assert answer.status_code == 403
        titles.add(answer.json()["title"])
    assert titles == {"You are no active member of that tenant."}
    assert len(upstream.requests) == before


def test_an_operator_acts_in_the_tenant_that_the_request_names(
    person: PersonFor, environment: Settings, upstream: RecordingUpstream
) -> None:
    tenant = new_tenant()
    browser = person(new_login(), new_tenant(), "operator")
    answer = browser.get("/api/feeds/v1/echo", headers={"Sentineliq-Tenant": tenant})
    assert answer.status_code == 200
    principal = principal_of(upstream.requests[-1], environment, "feeds")
    assert (principal.tenant, principal.role) == (tenant, Role.operator)
