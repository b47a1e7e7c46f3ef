"""Tokens: ours, unchanged, in time; and the one table of who may do what."""

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr

from shared.auth import PERMISSIONS, Principal, Role, issue_token, verify_token
from shared.errors import Forbidden, InvalidInput, Unauthenticated
from shared.tenants import is_tenant

SECRET = SecretStr("one-secret-key-of-more-than-thirty-two-characters")
OTHER = SecretStr("another-secret-of-more-than-thirty-two-characters")


def test_a_token_says_who_where_and_what() -> None:
    token = issue_token(SECRET, actor="kim", tenant="acme", role="analyst")
    assert verify_token(SECRET, token) == Principal("kim", "acme", Role.analyst)


def forged(**changes: object) -> str:
    claims = {
        "iss": "sentineliq",
        "sub": "kim",
        "tenant": "acme",
        "role": "operator",
        "exp": 4_000_000_000,
        **changes,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "HS256"}, present, OctKey.import_key(SECRET.get_secret_value()))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "not.a.token",
        issue_token(OTHER, actor="kim", tenant="acme", role="operator"),
        issue_token(SECRET, actor="kim", tenant="acme", role="operator")[:-3] + "abc",
        issue_token(
            SECRET, actor="kim", tenant="acme", role="operator", lifetime=timedelta(seconds=-120)
        ),
        forged(exp=None),
        forged(tenant=None),
        forged(tenant="*"),
        forged(tenant="Acme; DROP"),
        forged(role="god"),
        forged(iss="another"),
        # alg none, with the signature left out
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJzZW50aW5lbGlxIiwic3ViIjoia2ltIn0.",
    ],
)
def test_what_is_not_a_valid_token_of_ours_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        verify_token(SECRET, token)


@pytest.mark.parametrize("tenant", ["", "*", "Acme", "a b", "ä", "x" * 64, "-acme", "a_b"])
def test_names_that_cannot_be_tenants(tenant: str) -> None:
    assert not is_tenant(tenant)
    with pytest.raises(InvalidInput):
        issue_token(SECRET, actor="kim", tenant=tenant, role="viewer")


def test_only_operators_act_in_public() -> None:
    with pytest.raises(InvalidInput):
        issue_token(SECRET, actor="kim", tenant="public", role="admin")
    assert issue_token(SECRET, actor="kim", tenant="public", role="operator")


@pytest.mark.parametrize("permission", PERMISSIONS)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_its_rank_allows(permission: str, role: Role) -> None:
    principal = Principal("kim", "acme", role)
    if role >= PERMISSIONS[permission]:
        principal.require(permission)
    else:
        with pytest.raises(Forbidden, match=PERMISSIONS[permission].name):
            principal.require(permission)
