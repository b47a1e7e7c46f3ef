"""Access tokens of the gateway: for one service, for minutes, with no more than their scopes."""

import time
from typing import Any

import pytest
from pydantic import SecretStr

from services.gateway.tokens.access_tokens import (
    LIFETIME_SECONDS,
    AccessGrant,
    issue_access_token,
)
from shared.auth import Principal, Role, verify_token
from shared.errors import Forbidden, Unauthenticated
from shared.keys import GATEWAY, TOKENS, DerivedKeys, KeyBundle, MissingKey, granted_keys
from shared.tokens import ACCESS_ISSUER, ACCESS_TYPE, sign_claims

KEYS = DerivedKeys(SecretStr("a secret of the installation of 32 characters and more"))
PRINCIPAL = Principal("kim", "acme", Role.analyst, None, frozenset({"feeds:read"}))
GRANT = AccessGrant(PRINCIPAL, "session:1", "browser")


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ACCESS_ISSUER,
        "aud": "feeds",
        "jti": "1",
        "sub": "kim",
        "sid": "session:1",
        "client_id": "browser",
        "tenant": "acme",
        "role": "analyst",
        "iat": now,
        "exp": now + 300,
        **changes,
    }


def test_a_service_accepts_a_token_for_itself() -> None:
    token = issue_access_token(KEYS, GRANT, "feeds")
    bundle = KeyBundle(granted_keys("feeds", KEYS))
    principal = verify_token(bundle, token, "feeds")
    assert principal == PRINCIPAL
    assert principal.token is not None
    assert principal.token.grant == "session:1"
    assert principal.token.expires_at - principal.token.issued_at == LIFETIME_SECONDS


def test_a_token_is_for_no_other_service() -> None:
    token = issue_access_token(KEYS, GRANT, "feeds")
    with pytest.raises(Unauthenticated, match="not for mitre"):
        verify_token(KEYS, token, "mitre")


def test_scopes_bound_the_role() -> None:
    principal = verify_token(KEYS, issue_access_token(KEYS, GRANT, "feeds"), "feeds")
    assert principal.may("feeds:read")
    assert not principal.may("observables:read")
    with pytest.raises(Forbidden, match="scopes"):
        principal.require("observables:read")


def test_no_service_can_make_one() -> None:
    for service in ("feeds", "observables", "scheduler"):
        with pytest.raises(MissingKey):
            issue_access_token(KeyBundle(granted_keys(service, KEYS)), GRANT, "feeds")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "sentineliq"},
        {"aud": None},
        {"aud": []},
        {"aud": {"feeds": 1}},
        {"aud": ["mitre", "observables"]},
        {"sid": None},
        {"client_id": None},
        {"role": "root"},
        {"role": 3},
        {"tenant": "*"},
        {"tenant": ""},
        {"exp": 1},
        {"exp": 4_000_000_000},
        {"exp": "soon"},
        {"iat": None},
        {"jti": None},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_says_anything_else_is_refused(changes: dict[str, Any]) -> None:
    content = {name: value for name, value in claims(**changes).items() if value is not None}
    token = sign_claims(KEYS.private(TOKENS, GATEWAY), ACCESS_TYPE, content)
    with pytest.raises(Unauthenticated):
        verify_token(KEYS, token, "feeds")


def test_a_token_of_another_type_is_refused() -> None:
    token = sign_claims(KEYS.private(TOKENS, GATEWAY), "JWT", claims())
    with pytest.raises(Unauthenticated):
        verify_token(KEYS, token, "feeds")


def test_a_token_that_another_key_signed_is_refused() -> None:
    other = DerivedKeys(SecretStr("another secret of 32 characters and some more"))
    with pytest.raises(Unauthenticated):
        verify_token(KEYS, issue_access_token(other, GRANT, "feeds"), "feeds")
