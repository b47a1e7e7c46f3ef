"""Every route names one permission, and refuses a request without a token or the role for it.

Generated from the routes of the real apps: a new route is under test the moment it exists.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.testclient import TestClient

from shared.auth import PERMISSIONS, Role
from shared.settings import SERVICES
from shared.web.app import require_permission

OPEN = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    "/docs/swagger-ui-bundle.js",
    "/docs/swagger-ui.css",
}
OWN_ACCESS = {
    "/lists/{token}/{file_name}": ("observables", ("GET", "HEAD")),
    "/lists/{token}/{folder}/{file_name}": ("observables", ("GET", "HEAD")),
    "/lists/{file_name}": ("observables", ("GET", "HEAD")),
    "/v1/links": ("notifications", ("GET", "POST")),
}
"""Devices poll lists with the token of a consumer, and readers of messages have signed addresses:
these routes ask for what admits them."""
STRANGERS = {
    "/v1/sign-in": "Who signs in has no token yet; guesses are counted.",
    "/v1/sign-in/passkey": "Its body has what a passkey has signed.",
    "/v1/sign-in/passkey/begin": "It gives a challenge, and tells nothing of anybody.",
    "/v1/sign-in/link": "Its body has the secret of a link.",
    "/v1/sign-in/link/accept": "Its body has the secret of a link.",
    "/v1/sign-in/link/join": "It reads the session by itself.",
    "/v1/sign-in/providers": "A page of sign-in shows them, by the name of a tenant.",
    "/v1/sign-in/provider": "It leads to a provider.",
    "/v1/sign-in/provider/callback": "It brings a provider's answer, which is bound to a browser.",
    "/v1/sign-in/provider/logout": "Its body has a token that the provider has signed.",
    "/.well-known/jwks.json": "It has public keys alone.",
    "/v1/session": "It reads the session by itself: a person may have to choose a tenant first.",
}
"""Paths of the gateway that ask for no token, each with the reason why it may."""
ClientFor = Callable[..., TestClient]


class Operation(NamedTuple):
    """One method of one route, and the permissions it asks for."""

    method: str
    path: str
    permissions: tuple[str, ...]


def operations(client: TestClient) -> Iterator[Operation]:
    """What an API offers, but for the routes that are open to all."""
    for context in iter_route_contexts(client.app.routes):
        is_open = context.path in OPEN | OWN_ACCESS.keys() | client.app.state.open_paths
        if is_open:
            continue
        route = context.original_route
        assert isinstance(route, APIRoute), (
            f"{context.path} is no route of FastAPI's: it bypasses permissions"
        )
        permissions = tuple(permissions_of(context.dependant))
        # A hot route asks by itself; that it really does is what the tests below show.
        if "x-permission" in (route.openapi_extra or {}):
            permissions += (route.openapi_extra["x-permission"],)
        for method in sorted(context.methods or ()):
            yield Operation(method, str(context.path_format), permissions)


def permissions_of(dependant: Dependant) -> Iterator[str]:
    """The permissions that `require_permission` names anywhere among a route's dependencies."""
    if (
        getattr(dependant.call, "__qualname__", "")
        == f"{require_permission.__name__}.<locals>.principal"
    ):
        yield inspect.getclosurevars(dependant.call).nonlocals["permission"]
    for inner in dependant.dependencies:
        yield from permissions_of(inner)


def ask(client: TestClient, operation: Operation) -> int:
    """The status of a request whose path is plausible and whose body is empty."""
    path = operation.path
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + str(UUID(int=0)) + rest.partition("}")[2]
    return client.request(operation.method, path).status_code


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_names_one_permission(service: str, client_for: ClientFor) -> None:
    routes = list(operations(client_for(service, role=None)))
    assert len(routes) >= 3
    for operation in routes:
        assert len(operation.permissions) == 1, operation
        assert operation.permissions[0] in PERMISSIONS, operation


@pytest.mark.parametrize("service", SERVICES)
def test_strangers_reach_no_more_than_the_way_in(service: str, client_for: ClientFor) -> None:
    expected = STRANGERS if service == "gateway" else {}
    assert client_for(service, role=None).app.state.open_paths == set(expected)


@pytest.mark.parametrize("service", SERVICES)
def test_the_open_routes_are_open(service: str, client_for: ClientFor) -> None:
    client = client_for(service, role=None)
    assert {path: client.get(path).status_code for path in sorted(OPEN)} == dict.fromkeys(
        sorted(OPEN), 200
    )


def test_routes_with_an_access_of_their_own_refuse_strangers(client_for: ClientFor) -> None:
    for path, (service, methods) in OWN_ACCESS.items():
        client = client_for(service, role=None)
        for method in methods:
            operation = Operation(method, path, ())
            # An address with a token in it is unknown to whoever has no such token.
            assert ask(client, operation) == (404 if "{token}" in path else 401)
    signed_in = client_for("observables", role="operator")
    assert signed_in.get("/lists/any.plain").status_code == 401


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_passes_without_a_token(service: str, client_for: ClientFor) -> None:
    client = client_for(service, role=None)
    answers = {operation: ask(client, operation) for operation in operations(client)}
    assert {operation: status for operation, status in answers.items() if status != 401} == {}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "role", [role for role in Role if role < Role.operator], ids=lambda role: role.name
)
def test_nobody_passes_with_a_role_that_is_too_low(
    service: str, role: Role, client_for: ClientFor
) -> None:
    client = client_for(service, role=role.name)
    above = [
        operation
        for operation in operations(client)
        if PERMISSIONS[operation.permissions[0]] > role
    ]
    answers = {operation.path: ask(client, operation) for operation in above}
    assert {path: status for path, status in answers.items() if status != 403} == {}
