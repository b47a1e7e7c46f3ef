"""The published keys verify access tokens, and are no more than public."""

from collections.abc import Callable

from joserfc import jwt
from joserfc.jwk import KeySet

from services.gateway.tokens.access_tokens import AccessGrant, issue_access_token
from shared.auth import Principal, Role
from shared.keys import keys_of
from shared.settings import Settings
from tests.gateway.conftest import Browser


def test_a_program_verifies_a_token_with_the_published_keys(
    environment: Settings, browser_for: Callable[[], Browser]
) -> None:
    document = browser_for().client.get("/.well-known/jwks.json").json()
    [key] = document["keys"]
    assert set(key) == {"kty", "crv", "use", "alg", "kid", "x"}
    grant = AccessGrant(Principal("kim", "acme", Role.viewer), "session:1", "browser")
    token = issue_access_token(keys_of(environment), grant, "feeds")
    decoded = jwt.decode(token, KeySet.import_key_set(document), algorithms=["Ed25519"])
    assert decoded.header["typ"] == "at+jwt"
    assert (decoded.claims["sub"], decoded.claims["aud"]) == ("kim", "feeds")
