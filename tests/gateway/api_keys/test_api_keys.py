"""API keys: made, used by programs, rotated, revoked; never more than their owner holds."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.settings import Settings
from tests.gateway.conftest import Browser

BrowserFor = Callable[[], Browser]
PersonFor = Callable[..., Browser]


def new_login() -> str:
    return f"p{uuid4().hex[:10]}@acme.example"


def use(browser: Browser, key: str, path: str = "/v1/api-keys", **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
    return browser.client.get(path, headers=headers, **options)


def make(browser: Browser, **fields: Any) -> dict[str, Any]:
    answer = browser.post("/v1/api-keys", {"name": "curl", **fields})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def test_a_key_acts_as_its_owner_and_is_shown_once(
    person: PersonFor, browser_for: BrowserFor, environment: Settings
) -> None:
    owner = person(new_login(), role="admin")
    created = make(owner, role="admin")
    program = browser_for()
    assert use(program, created["key"], "/v1/members").status_code == 200
    listed = owner.get("/v1/api-keys").json()["items"]
    [own] = [entry for entry in listed if entry["id"] == created["api_key"]["id"]]
    assert own["used_at"] is not None
    assert own["used_from"] == "testclient"
    secret = created["key"].rpartition("_")[2]
    assert secret not in owner.get("/v1/api-keys").text
    url = environment.database_url.get_secret_value()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT row_to_json(k)::text FROM gateway.api_key k WHERE id = %s",
            (created["api_key"]["id"],),
        ).fetchall()
    assert len(rows) == 1
    assert secret not in str(rows)


def test_a_keys_role_and_scopes_bound_it(person: PersonFor, browser_for: BrowserFor) -> None:
    owner = person(new_login(), role="admin")
    program = browser_for()
    viewer = make(owner)["key"]
    assert use(program, viewer, "/v1/members").status_code == 403
    scoped = make(owner, role="admin", scopes=["audit:read"])["key"]
    assert use(program, scoped, "/v1/audit").status_code == 200
    refused = use(program, scoped, "/v1/members")
    assert refused.status_code == 403
    assert "scopes" in refused.json()["title"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"role": "operator"}, 403),
        ({"role": "viewer", "scopes": ["members:write"]}, 422),
        ({"role": "admin", "scopes": ["no:such"]}, 422),
        ({"role": "admin", "scopes": ["outbox:operate"]}, 422),
        ({"networks": ["192.0.2.1/24"]}, 422),
        ({"networks": ["nowhere"]}, 422),
        ({"days": 0}, 422),
        ({"days": 100_000}, 422),
        ({"name": "a\u0000b"}, 422),
        ({"name": ""}, 422),
        ({"unknown": 1}, 422),
    ],
)
def test_nobody_makes_a_key_with_more(
    person: PersonFor, fields: dict[str, Any], status: int
) -> None:
    owner = person(new_login(), role="admin")
    assert owner.post("/v1/api-keys", {"name": "curl", **fields}).status_code == status


def test_a_key_makes_no_keys_which_would_outlive_it_and_changes_no_credential(
    person: PersonFor, browser_for: BrowserFor
) -> None:
    owner = person(new_login(), role="admin")
    key = make(owner, role="admin", scopes=["account:use", "audit:read"])["key"]
    program = browser_for()
    program.client.headers["Authorization"] = f"Bearer {key}"
    for fields in ({"role": "admin"}, {"role": "viewer", "scopes": ["account:use"]}):
        answer = program.post("/v1/api-keys", {"name": "more", **fields})
        assert answer.status_code == 403, fields
        assert "sign in" in answer.json()["title"]
    place = f"/v1/api-keys/{key.split('_')[1]}/rotate"
    assert program.post(place, {}).status_code == 403
    body = {"present": "x", "password": "seven grey geese at noon"}
    assert program.request("PUT", "/v1/account/password", json=body).status_code == 403
    assert program.request("DELETE", "/v1/sessions").status_code == 403


def test_a_key_is_for_its_networks_alone(person: PersonFor, browser_for: BrowserFor) -> None:
    owner = person(new_login())
    key = make(owner, networks=["192.0.2.0/24"])["key"]
    answer = use(browser_for(), key)
    assert answer.status_code == 401
    assert "network" in answer.json()["title"]


def test_a_revoked_key_ends_within_a_second(person: PersonFor, browser_for: BrowserFor) -> None:
    owner = person(new_login())
    created = make(owner)
    program = browser_for()
    assert use(program, created["key"]).status_code == 200
    place = f"/v1/api-keys/{created['api_key']['id']}"
    assert person(new_login(), f"t{uuid4().hex[:8]}").request("DELETE", place).status_code == 404
    assert person(new_login()).request("DELETE", place).status_code == 404, "a colleague's"
    assert owner.request("DELETE", place).status_code == 204
    time.sleep(1.1)
    assert use(program, created["key"]).status_code == 401


def test_a_rotated_key_goes_on_for_a_while(
    person: PersonFor, browser_for: BrowserFor, environment: Settings
) -> None:
    owner = person(new_login(), role="admin")
    created = make(owner, role="admin", scopes=["audit:read"])
    place = f"/v1/api-keys/{created['api_key']['id']}/rotate"
    renewed = owner.post(place, {"overlap_minutes": 60}).json()
    assert renewed["api_key"]["scopes"] == ["audit:read"]
    program = browser_for()
    assert use(program, created["key"], "/v1/audit").status_code == 200
    assert use(program, renewed["key"], "/v1/audit").status_code == 200
    assert owner.post(place, {}).status_code == 409, "it was replaced before"
    second = f"/v1/api-keys/{renewed['api_key']['id']}/rotate"
    assert owner.post(second, {"overlap_minutes": 0}).status_code == 201
    time.sleep(1.1)
    assert use(program, renewed["key"], "/v1/audit").status_code == 401


def test_a_key_ends_with_its_owners_role_and_membership(
    person: PersonFor, browser_for: BrowserFor
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    owner = person(new_login(), tenant, "admin")
    other = person(new_login(), tenant, "admin")
    key = make(owner, role="admin")["key"]
    program = browser_for()
    assert use(program, key, "/v1/members").status_code == 200
    place = f"/v1/members/{owner.session['person_id']}"
    assert other.request("PATCH", place, json={"role": "viewer"}).status_code == 200
    time.sleep(1.1)
    assert use(program, key, "/v1/members").status_code == 403
    assert other.request("DELETE", place).status_code == 204
    time.sleep(1.1)
    assert use(program, key, "/v1/members").status_code == 401


def test_a_key_is_of_one_tenant(person: PersonFor, browser_for: BrowserFor) -> None:
    key = make(person(new_login()))["key"]
    headers = {"Sentineliq-Tenant": "beta"}
    assert use(browser_for(), key, headers=headers).status_code == 403
