"""Tokens: ours, unchanged, in time; and the one table of who may do what."""

import time
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr

from shared.auth import PERMISSIONS, Principal, Role, issue_token, verify_token
from shared.errors import Forbidden, InvalidInput, Unauthenticated
from shared.tenants import is_tenant
from shared.tokens import key_id, token_id

NOW = int(time.time())
SECRET = SecretStr("one-secret-key-of-more-than-thirty-two-characters")
OTHER = SecretStr("another-secret-of-more-than-thirty-two-characters")


def test_a_token_says_who_where_and_what() -> None:
    token = issue_token(SECRET, actor="kim", tenant="acme", role="analyst")
    assert verify_token(SECRET, token) == Principal("kim", "acme", Role.analyst)


def forged(kid: str = "", **changes: object) -> str:
    claims = {
        "iss": "sentineliq",
        "aud": "sentineliq",
        "jti": "1",
        "iat": NOW,
        "sub": "kim",
        "tenant": "acme",
        "role": "operator",
        "exp": NOW + 100_000,
        **changes,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "HS256", "kid": kid or key_id(SECRET)}
    return jwt.encode(header, present, OctKey.import_key(SECRET.get_secret_value()))


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
        forged(iat=None),
        forged(jti=None),
        forged(aud=None),
        forged(aud="other-service"),
        forged(exp=NOW + 91 * 86_400),
        forged(iat=NOW + 80_000),
        forged(kid="another-key"),
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


def test_what_the_forged_tokens_are_changed_from_is_valid() -> None:
    assert verify_token(SECRET, forged()) == Principal("kim", "acme", Role.operator)


def test_a_token_is_for_ninety_days_at_most() -> None:
    days = timedelta(days=90)
    assert issue_token(SECRET, actor="kim", tenant="acme", role="viewer", lifetime=days)
    with pytest.raises(InvalidInput, match="90 days"):
        issue_token(SECRET, actor="kim", tenant="acme", role="viewer", lifetime=timedelta(days=91))


def test_each_token_has_an_id_of_its_own() -> None:
    tokens = [issue_token(SECRET, actor="kim", tenant="acme", role="viewer") for _ in range(3)]
    facts = [verify_token(SECRET, token).token for token in tokens]
    assert len({fact.id for fact in facts if fact}) == 3
    assert [token_id(token) for token in tokens] == [fact.id for fact in facts if fact]


def test_the_name_of_a_key_tells_keys_apart_and_nothing_else() -> None:
    assert key_id(SECRET) != key_id(OTHER)
    assert key_id(SECRET) not in SECRET.get_secret_value()


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
