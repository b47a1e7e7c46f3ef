"""Lists over the API: created, changed, refused, and never another tenant's."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from services.observables.taxii.list_writer import follow_lists
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


def test_a_tenant_has_so_many_lists_consumers_and_protected_values(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    client = client_for("observables", tenant="crowded", role="admin")
    operator = client_for("observables", tenant="public", role="operator")

    def limit(**most: int) -> None:
        for name, number in most.items():
            place = f"/v1/quotas/crowded/{name.replace('_', '-')}"
            assert operator.put(place, json={"limit": number}).status_code == 200

    limit(lists=2, list_consumers=1, protected_values=1, collections=1)

    def create(**values: object) -> Response:
        body = {"name": f"l-{uuid4().hex[:8]}", "filter": "observable.score >= 90", **values}
        return client.post("/v1/lists", json=body)

    first = create(is_collection=True).json()["id"]
    follow_lists(own)
    assert create(is_collection=True).json()["type"].endswith("quota-exceeded")
    second = create().json()["id"]
    assert create().json()["type"].endswith("quota-exceeded")
    patch = client.patch(f"/v1/lists/{second}", json={"is_collection": True})
    assert patch.json()["type"].endswith("quota-exceeded")
    answers = [
        client.post("/v1/list-consumers", json={"name": name, "list_ids": [first]}).status_code
        for name in ("first", "second")
    ]
    assert answers == [201, 403]
    answers = [
        client.post("/v1/protected-values", json={"value": value}).status_code
        for value in ("crowded.com", "203.0.113.0/24")
    ]
    assert answers == [201, 403]
    # What was allowed before the limit was lowered makes no collection above it.
    limit(collections=2)
    assert client.patch(f"/v1/lists/{second}", json={"is_collection": True}).status_code == 200
    limit(collections=1)
    follow_lists(own)
    assert len(client.get("/v1/collections").json()) == 1


def test_only_those_who_may_make_collections_make_them_by_a_list(
    client_for: Callable[..., TestClient],
) -> None:
    analyst = client_for("observables", tenant="acme", role="analyst")
    body = {"name": "sly", "filter": "observable.score >= 90"}
    refused = analyst.post("/v1/lists", json={**body, "is_collection": True})
    assert refused.status_code == 403
    assert "collections:configure" in refused.json()["title"]
    place = f"/v1/lists/{analyst.post('/v1/lists', json=body).json()['id']}"
    assert analyst.patch(place, json={"is_collection": True}).status_code == 403
    admin = client_for("observables", tenant="acme", role="admin")
    assert admin.patch(place, json={"is_collection": True}).status_code == 200
    # The analyst may still take it back.
    assert analyst.patch(place, json={"is_collection": False}).status_code == 200
