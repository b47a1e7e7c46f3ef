"""Every route times every caller that must be refused, generated from the routes of the real apps.

A new route is here the moment it exists: one without a permission fails
`tests/conventions/test_permissions.py`, one that lets any of these in fails here.
"""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from services.gateway.tokens.access_tokens import AccessGrant, issue_access_token
from shared.auth import PERMISSIONS, Principal, Role
from shared.database import PLATFORM
from shared.events import Event
from shared.events.gateway import REVOKED, RevocationKind, Revoked
from shared.keys import GATEWAY, OPERATOR, TOKENS, keys_of
from shared.revocations import apply_revocations
from shared.service_names import SERVICES
from shared.settings import Settings
from shared.tenants import PUBLIC
from shared.tokens import ACCESS_ISSUER, ACCESS_TYPE, AUDIENCE, ISSUER, sign_claims, token_id
from tests.conventions.test_permissions import Operation, ask, operations

ClientFor = Callable[..., TestClient]
MakeToken = Callable[..., str]
FORGED = {
    "X-Forwarded-User": "root",
    "X-Remote-User": "root",
    "X-Sentineliq-Role": "operator",
    "X-Sentineliq-Tenant": "acme",
    "Sentineliq-Tenant": "acme",
    "X-Original-User": "root",
}
LATER = "2099-01-01T00:00:00+00:00"


class Callers:
    """Makes what callers show who must be refused.

    Args:
        settings: of the installation.
        client: of the service's API, which stores revocations.
        service: its name.
        make_token: makes tokens of the command line.
    """

    def __init__(
        self, settings: Settings, client: TestClient, service: str, make_token: MakeToken
    ) -> None:
        self._keys = keys_of(settings)
        self._client = client
        self._service = service
        self._make_token = make_token

    def headers(self, caller: str) -> dict[str, str]:
        """What a caller sends."""
        if caller == "anonymous":
            return {}
        if caller == "forged-headers":
            return FORGED
        make: Callable[[], str] = getattr(self, f"_{caller.replace('-', '_')}")
        token = make()
        self._client.app.state.token_registry.read()
        return {"Authorization": f"Bearer {token}"}

    def access_token(self, *, audience: str, scopes: frozenset[str] | None = None) -> str:
        """An access token of an operator of acme."""
        principal = Principal("kim", "acme", Role.operator, scopes=scopes)
        grant = AccessGrant(principal, f"session:{uuid4()}", "browser")
        return issue_access_token(self._keys, grant, audience)

    def _changed(self) -> str:
        head, body, signature = self._make_token("acme", "operator").split(".")
        return f"{head}.{body}.{signature[:-4]}AAAA"

    def _expired(self) -> str:
        return self._signed(ISSUER, AUDIENCE, "JWT", OPERATOR, age=7200)

    def _expired_access(self) -> str:
        return self._signed(ACCESS_ISSUER, self._service, ACCESS_TYPE, GATEWAY, age=7200)

    def _long_access(self) -> str:
        return self._signed(ACCESS_ISSUER, self._service, ACCESS_TYPE, GATEWAY, lifetime=86_400)

    def _wrong_audience(self) -> str:
        other = "mitre" if self._service != "mitre" else "feeds"
        return self.access_token(audience=other)

    def _wrong_type(self) -> str:
        return self._signed(ACCESS_ISSUER, self._service, "JWT", GATEWAY)

    def _wrong_issuer(self) -> str:
        return self._signed(ISSUER, AUDIENCE, ACCESS_TYPE, GATEWAY)

    def _revoked(self) -> str:
        token = self._make_token("acme", "operator")
        self._learn("acme", "token", token_id(token))
        return token

    def _ended_session(self) -> str:
        principal = Principal("kim", "acme", Role.operator)
        grant = AccessGrant(principal, f"session:{uuid4()}", "browser")
        self._learn(PUBLIC, "grant", grant.id)
        return issue_access_token(self._keys, grant, self._service)

    def _former_member(self) -> str:
        tenant = f"t{uuid4().hex[:10]}"
        token = self._make_token(tenant, "operator", "lee")
        self._learn(tenant, "actor", "lee", moment=LATER)
        return token

    def _frozen_tenant(self) -> str:
        tenant = f"t{uuid4().hex[:10]}"
        self._learn(tenant, "tenant", "")
        return self._make_token(tenant, "admin")

    def _signed(
        self,
        issuer: str,
        audience: str,
        kind: str,
        owner: str,
        *,
        age: int = 0,
        lifetime: int = 300,
    ) -> str:
        now = int(time.time()) - age
        claims = {
            "iss": issuer,
            "aud": audience,
            "jti": uuid4().hex,
            "sub": "kim",
            "sid": f"session:{uuid4()}",
            "client_id": "browser",
            "tenant": "acme",
            "role": "operator",
            "iat": now,
            "exp": now + lifetime,
        }
        return sign_claims(self._keys.private(TOKENS, owner), kind, claims)

    def _learn(self, tenant: str, kind: RevocationKind, name: str, moment: str = LATER) -> None:
        data = Revoked(kind, name, moment, LATER, "root")
        with self._client.app.state.database.transaction(PLATFORM) as session:
            apply_revocations(session, [Event(REVOKED, data, tenant, "/services/gateway")])


CALLERS = (
    "anonymous",
    "forged-headers",
    "changed",
    "expired",
    "expired-access",
    "long-access",
    "wrong-audience",
    "wrong-type",
    "wrong-issuer",
    "revoked",
    "ended-session",
    "former-member",
    "frozen-tenant",
)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("caller", CALLERS)
def test_no_route_answers_who_must_be_refused(
    service: str,
    caller: str,
    client_for: ClientFor,
    make_token: MakeToken,
    environment: Settings,
) -> None:
    client = client_for(service, role=None)
    client.headers.update(Callers(environment, client, service, make_token).headers(caller))
    refused = {operation: ask(client, operation) for operation in operations(client)}
    assert refused, "the service has routes"
    assert {operation: status for operation, status in refused.items() if status != 401} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_no_route_answers_a_token_whose_scopes_leave_it_out(
    service: str, client_for: ClientFor, make_token: MakeToken, environment: Settings
) -> None:
    client = client_for(service, role=None)
    callers = Callers(environment, client, service, make_token)
    answers: dict[Operation, int] = {}
    for operation in operations(client):
        others = frozenset(PERMISSIONS) - set(operation.permissions)
        token = callers.access_token(audience=service, scopes=others)
        client.headers["Authorization"] = f"Bearer {token}"
        answers[operation] = ask(client, operation)
    assert {operation: status for operation, status in answers.items() if status != 403} == {}
