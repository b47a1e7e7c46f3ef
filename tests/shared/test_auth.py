"""Tokens: ours, unchanged, in time; and the one table of who may do what."""

import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey
from pydantic import SecretStr

from shared.auth import PERMISSIONS, Principal, Role, issue_token, verify_token
from shared.errors import Forbidden, InvalidInput, Unauthenticated
from shared.keys import GATEWAY, OPERATOR, TOKENS, DerivedKeys, KeyBundle, granted_keys
from shared.settings import SERVICES, ServiceName
from shared.tenants import is_tenant
from shared.tokens import token_id

NOW = int(time.time())
SECRET = SecretStr("one-secret-key-of-more-than-thirty-two-characters")
OTHER = SecretStr("another-secret-of-more-than-thirty-two-characters")
KEYS = DerivedKeys(SECRET)
PUBLIC_KEY = KEYS.public(TOKENS, OPERATOR)[0]


def encoded(material: bytes) -> str:
    return urlsafe_b64encode(material).decode().rstrip("=")


def test_a_token_says_who_where_and_what() -> None:
    token = issue_token(SECRET, actor="kim", tenant="acme", role="analyst")
    assert verify_token(KEYS, token) == Principal("kim", "acme", Role.analyst)


CLAIMS = {
    "iss": "sentineliq",
    "aud": "sentineliq",
    "jti": "1",
    "iat": NOW,
    "sub": "kim",
    "tenant": "acme",
    "role": "operator",
    "exp": NOW + 100_000,
}


def forged(kid: str = "", **changes: object) -> str:
    claims = {**CLAIMS, **changes}
    present = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "Ed25519", "kid": kid or PUBLIC_KEY.id}
    private = KEYS.private(TOKENS, OPERATOR).material
    numbers = {"x": encoded(PUBLIC_KEY.material), "d": encoded(private)}
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", **numbers})
    return jwt.encode(header, present, key, algorithms=["Ed25519"])


def of_before(secret: bytes, key_id: str) -> str:
    """A token as an earlier version made it, whose key every service had."""
    header = {"alg": "HS256", "kid": key_id}
    return jwt.encode(header, CLAIMS, OctKey.import_key(secret))


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
        of_before(SECRET.get_secret_value().encode(), "0" * 16),
        # What a service knows does not sign.
        of_before(SECRET.get_secret_value().encode(), PUBLIC_KEY.id),
        of_before(PUBLIC_KEY.material, PUBLIC_KEY.id),
        "e30.e30.e30",
        "W10.e30.e30",
        "[" * 16_000 + ".e30.e30",
        "ä.ö.ü",
        # alg none, with the signature left out
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJzZW50aW5lbGlxIiwic3ViIjoia2ltIn0.",
    ],
)
def test_what_is_not_a_valid_token_of_ours_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        verify_token(KEYS, token)


def test_what_the_forged_tokens_are_changed_from_is_valid() -> None:
    assert verify_token(KEYS, forged()) == Principal("kim", "acme", Role.operator)


def test_a_token_is_for_ninety_days_at_most() -> None:
    days = timedelta(days=90)
    assert issue_token(SECRET, actor="kim", tenant="acme", role="viewer", lifetime=days)
    with pytest.raises(InvalidInput, match="90 days"):
        issue_token(SECRET, actor="kim", tenant="acme", role="viewer", lifetime=timedelta(days=91))


def test_each_token_has_an_id_of_its_own() -> None:
    tokens = [issue_token(SECRET, actor="kim", tenant="acme", role="viewer") for _ in range(3)]
    facts = [verify_token(KEYS, token).token for token in tokens]
    assert len({fact.id for fact in facts if fact}) == 3
    assert [token_id(token) for token in tokens] == [fact.id for fact in facts if fact]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_verifies_tokens_and_cannot_make_them(service: ServiceName) -> None:
    token = issue_token(SECRET, actor="kim", tenant="acme", role="analyst")
    granted = granted_keys(service, KEYS)
    assert verify_token(KeyBundle(granted), token) == Principal("kim", "acme", Role.analyst)
    private = KEYS.private(TOKENS, OPERATOR).material
    assert private not in [key.material for key in granted]
    kinds = {(key.owner, key.kind) for key in granted if key.purpose == TOKENS}
    own = {(GATEWAY, "private")} if service == GATEWAY else set()
    assert kinds == {(OPERATOR, "public"), (GATEWAY, "public"), *own}


def test_a_former_key_verifies_until_it_ends() -> None:
    token = issue_token(SECRET, actor="kim", tenant="acme", role="analyst")
    for until, is_valid in ((time.time() + 60, True), (time.time() - 1, False)):
        keys = DerivedKeys(OTHER, [replace(PUBLIC_KEY, until=until)])
        assert verify_token(keys, issue_token(OTHER, actor="a", tenant="acme", role="viewer"))
        if is_valid:
            assert verify_token(keys, token)
        else:
            with pytest.raises(Unauthenticated):
                verify_token(keys, token)


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
