"""Lists over the API: created, changed, refused, and never another tenant's."""

from collections.abc import Callable
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from shared.database import Database

BODY = {"name": "bad-addresses", "filter": "observable.score >= 50"}


@pytest.fixture
def client(own: Database, client_for: Callable[..., TestClient]) -> TestClient:
    return client_for("observables")


def test_a_list_is_created_changed_and_deleted(client: TestClient) -> None:
    created = client.post("/v1/lists", json=BODY)
    assert created.status_code == 201
    view = created.json()
    assert (view["state"], view["version"], view["is_filled"]) == ("active", 0, False)
    place = f"/v1/lists/{view['id']}"
    changed = client.patch(place, json={"capacity": 5, "max_growth": None}).json()
    assert (changed["capacity"], changed["max_growth"], changed["filter"]) == (
        5,
        None,
        BODY["filter"],
    )
    assert [row["id"] for row in client.get("/v1/lists").json()["items"]] == [view["id"]]
    assert client.post("/v1/lists", json=BODY).status_code == 409
    assert client.post(f"{place}/release").status_code == 409
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == 404


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"filter": "observable.score >="}, "filter"),
        ({"filter": 'observable.value in watchlist("own")'}, "filter"),
        ({"filter": "change.kind == 'new'"}, "filter"),
        ({"filter": "observable.score > 1 || " * 400 + "true"}, "filter"),
        ({"capacity": 0}, "capacity"),
        ({"profile": "any"}, "profile"),
        ({"tlp_ceiling": "closed"}, "tlp_ceiling"),
        ({"name": "../up"}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"grace_seconds": -1}, "grace_seconds"),
        ({"format_options": {"pigeon": {"a": "b"}}}, "format"),
        ({"format_options": {"rpz": {"zone": "a b; $INCLUDE /x"}}}, "format_options.rpz.zone"),
        ({"format_options": {"rpz": {"colour": "red"}}}, "format_options.rpz.colour"),
        ({"format_options": {"suricata": {"action": "pass"}}}, "format_options.suricata.action"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_input_names_the_field(client: TestClient, values: dict, field: str) -> None:
    answer = client.post("/v1/lists", json=BODY | values)
    assert answer.status_code == 422
    assert field in str(answer.json())
    assert client.get("/v1/lists").json()["items"] == []


def test_another_tenant_sees_and_changes_nothing(
    client: TestClient, client_for: Callable[..., TestClient]
) -> None:
    place = f"/v1/lists/{client.post('/v1/lists', json=BODY).json()['id']}"
    stranger = client_for("observables", tenant="umbrella")
    assert stranger.get("/v1/lists").json()["items"] == []
    assert stranger.get(place).status_code == 404
    assert stranger.patch(place, json={"capacity": 1}).status_code == 404
    assert stranger.delete(place).status_code == 404
    for part in ("changes", "entries", "diff?before=0&after=0", "why?value=192.0.2.7"):
        assert stranger.get(f"{place}/{part}").status_code == 404
    assert client.get(place).status_code == 200
    assert client.get(f"/v1/lists/{UUID(int=7)}").status_code == 404


def test_protected_values_are_canonical(client: TestClient) -> None:
    for text, value in (("Example.COM.", "example.com"), ("203.0.113.9/24", "203.0.113.0/24")):
        answer = client.post("/v1/protected-values", json={"value": text})
        assert (answer.status_code, answer.json()["value"]) == (201, value)
    assert client.post("/v1/protected-values", json={"value": "no name"}).status_code == 422
    assert client.post("/v1/protected-values", json={"value": "example.com"}).status_code == 409
    assert len(client.get("/v1/protected-values").json()) == 2
    gone = client.delete("/v1/protected-values", params={"value": "example.com"})
    assert gone.status_code == 204
