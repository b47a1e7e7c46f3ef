"""Who may change what: role, route, field, tenant, generated from the routes of the real apps.

An effect without a permission, or without a record of it, fails here: state is compared table by
table. A new route fails until the table of effects has it, a new field until it has a value there.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.testclient import TestClient

from shared.auth import PERMISSIONS, Role
from shared.settings import SERVICES, Settings
from tests.conventions.test_permissions import OWN_ACCESS, STRANGERS, permissions_of
from tests.effects.effect import Call, Effect
from tests.effects.table import EFFECTS, FIELDS, STORED_AS
from tests.effects.world import OWNER, STRANGER, World

ClientFor = Callable[..., TestClient]
_OF_PROVIDERS = "/v1/sign-in/provider"


def routes(client: TestClient) -> Iterator[tuple[str, str, APIRoute, str]]:
    """Method, route and permission of what may change something."""
    for context in iter_route_contexts(client.app.routes):
        route = context.original_route
        # tests/gateway/providers has a provider, whose answers these are about.
        is_open = context.path in OWN_ACCESS or str(context.path).startswith(_OF_PROVIDERS)
        if not isinstance(route, APIRoute) or is_open:
            continue
        hot = (route.openapi_extra or {}).get("x-permission")
        permission = hot or next(permissions_of(context.dependant), "")
        for method in sorted(set(context.methods or ()) - {"GET", "HEAD"}):
            yield method, str(context.path_format), route, permission


@pytest.fixture
def world(settings: Settings, client_for: ClientFor) -> Iterator[World]:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        yield World(settings, client_for, admin)


def permission_of(world: World, effect: Effect) -> str:
    service, method, path = effect.operation
    for each in routes(world.client(service, "operator")):
        if each[:2] == (method, path):
            return each[3]
    raise AssertionError(f"{effect.operation} is no route any more")


def needed_role(world: World, effect: Effect) -> Role:
    """The role that an effect needs; the way in, which asks for no permission, needs none."""
    permission = permission_of(world, effect)
    if not permission:
        assert effect.operation[2] in STRANGERS
        return Role.viewer
    return PERMISSIONS[permission]


def client_of(world: World, effect: Effect, role: Role, tenant: str = OWNER) -> TestClient:
    """Who makes a request: a person who has signed in, or a token with a role."""
    if effect.by_person:
        return world.people.person(tenant).client
    return world.client(effect.operation[0], role.name, tenant)


def send(client: TestClient, effect: Effect, call: Call) -> Any:
    method = effect.operation[1]
    headers = dict(call.headers)
    if call.media_type is not None:
        headers["content-type"] = call.media_type
    return client.request(
        method,
        call.path,
        params=call.params,
        json=call.json,
        content=call.content,
        headers=headers,
    )


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_that_may_change_something_stands_in_the_table(
    service: str, client_for: ClientFor
) -> None:
    present = {(service, method, path) for method, path, _, _ in routes(client_for(service))}
    entered = {effect.operation for effect in EFFECTS if effect.operation[0] == service}
    assert present == entered


@pytest.mark.parametrize("service", SERVICES)
def test_every_field_that_may_change_something_stands_in_the_table(
    service: str, client_for: ClientFor
) -> None:
    missing = {}
    for method, path, route, _ in routes(client_for(service)):
        if method != "PATCH":
            continue
        model = route.body_field.field_info.annotation
        assert issubclass(model, BaseModel)
        fields = set(model.model_fields)
        if fields != set(FIELDS.get((service, method, path), {})):
            missing[service, method, path] = fields
    assert missing == {}


def name_of(effect: Effect) -> str:
    return f"{' '.join(effect.operation)} {effect.action or 'nothing'}"


@pytest.mark.parametrize("effect", EFFECTS, ids=name_of)
def test_an_effect_needs_its_permission_and_leaves_a_record(effect: Effect, world: World) -> None:
    service, _, path = effect.operation
    needed = needed_role(world, effect)
    call = effect.call(world)
    client = client_of(world, effect, needed)
    stranger = client_of(world, effect, needed, STRANGER)
    before = world.digests(service)
    for role in Role:
        if role < needed:
            answer = send(world.client(service, role.name), effect, call)
            assert answer.status_code == 403, (role, answer.text)
    assert world.digests(service) == before
    if "{" in path and needed < Role.operator:
        answer = send(stranger, effect, call)
        check_stranger(world, service, before, call, answer.status_code)

    before = world.digests(service)
    last = world.last_audit(service)
    answer = send(client, effect, call)
    assert answer.status_code == effect.status or answer.is_success, answer.text
    records = world.audited(service, last)
    if effect.action is None:
        assert [record["action"] for record in records] == []
        is_excused = effect.names_author or effect.is_preparation
        assert is_excused or world.digests(service) == before
        return
    assert effect.action in [record["action"] for record in records]
    assert {record["actor"] for record in records} == {"kim@acme.example"}


def check_stranger(
    world: World, service: str, before: dict[str, tuple[int, str]], call: Call, status: int
) -> None:
    """A stranger's request about the owner's object finds none, and changes nothing."""
    if any(name in call.path for name in ("/catalogue/", "/enrichers/", "/tokens/")):
        return  # these are everybody's; each tenant has rows of its own
    assert status == 404, call.path
    assert world.digests(service) == before


@pytest.mark.parametrize("service", SERVICES)
def test_refusals_are_recorded_once_a_minute(service: str, world: World) -> None:
    last = world.last_audit(service)
    client = world.client(service, "viewer")
    # The gateway has no work in queues that could be lost.
    path = "/v1/consumers/retries" if service == "gateway" else "/v1/reconcile"
    for _ in range(3):
        assert client.post(path).status_code == 403
    (record,) = world.audited(service, last)
    assert (record["action"], record["target"]) == (f"{service}.refuse", f"POST {path}")
    assert (record["tenant"], record["actor"]) == ("acme", "kim@acme.example")


CASES = [(operation, field) for operation, fields in FIELDS.items() for field in fields]


@pytest.mark.parametrize(("operation", "field"), CASES, ids=str)
def test_a_changed_field_is_recorded_with_both_values(
    operation: tuple[str, str, str], field: str, world: World
) -> None:
    service = operation[0]
    effect = next(each for each in EFFECTS if each.operation == operation)
    # A list that TAXII offers is a collection, too.
    needed = Role.admin if field == "is_collection" else needed_role(world, effect)
    path = "/v1/enrichers/shodan" if field == "key" else effect.call(world).path
    body = FIELDS[operation][field]
    if field == "channel_ids":
        body = {field: [world.channel()]}
    elif field == "list_ids":
        body = {field: [world.dissemination_list()]}
    elif field == "digest_id":
        body = {field: world.digest()}
    elif field == "credentials" and service == "notifications":
        path = f"/v1/channels/{world.chat()}"
    elif field == "escalation":
        body = {field: [{"after_seconds": 60, "channel_ids": [world.channel()]}]}
    before = world.digests(service)
    for role in Role:
        if role < needed:
            client = world.client(service, role.name)
            assert client.patch(path, json=body).status_code == 403
    assert world.digests(service) == before

    # Tasks other than a tenant's own are for operators.
    role = Role.operator if field == "task" else needed
    last = world.last_audit(service)
    answer = world.client(service, role.name).patch(path, json=body)
    assert answer.is_success, answer.text
    changes = world.audited(service, last)[-1]["changes"]
    assert {field, STORED_AS.get(field, field)} & changes.keys()
    assert "SECRET" not in str(changes)
    assert "whsec" not in str(changes)


SETTINGS = {
    "format": "csv",
    "options": '{"delimiter": ";"}',
    "confidence": 99,
    "reliability": "A",
    "tlp": "amber",
    "tag": ["c2"],
    "kind": "stream",
}
STORED_SETTING = {"tag": "tags"}


def test_every_setting_that_an_upload_may_name_is_tested(client_for: ClientFor) -> None:
    ingest = next(route for _, path, route, _ in routes(client_for("feeds")) if "ingest" in path)
    names = {parameter.alias for parameter in ingest.dependant.query_params}
    assert names == {*SETTINGS, "name", "file"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_upload_changes_no_setting_of_a_feed(setting: str, world: World) -> None:
    feed = world.feed(tlp="red")
    name = world.execute("SELECT name FROM feeds.feed WHERE id = %s", feed)
    params = {"name": name, setting: SETTINGS[setting]}
    before = world.digests("feeds")
    for role, status in (("analyst", 403), ("admin", 409), ("operator", 409)):
        client = world.client("feeds", role)
        answer = client.post("/v1/ingest", params=params, content=b"198.51.100.7\n")
        assert answer.status_code == status, answer.text
        assert answer.json()["fields"] == [STORED_SETTING.get(setting, setting)]
    assert world.digests("feeds") == before
    same = client.post("/v1/ingest", params={"name": name, "tlp": "red"}, content=b"192.0.2.7\n")
    assert same.status_code == 202


def test_an_upload_makes_a_feed_for_those_who_may_make_feeds(world: World) -> None:
    for role, status in (("analyst", 403), ("admin", 202)):
        client = world.client("feeds", role)
        answer = client.post("/v1/ingest", params={"name": "new"}, content=b"198.51.100.7\n")
        assert answer.status_code == status
