"""The public keys of access tokens as a JWK set (RFC 7517, RFC 8037). No I/O."""

from base64 import urlsafe_b64encode
from typing import Any

from shared.keys import GATEWAY, TOKENS, Keys
from shared.tokens import ALGORITHM


def public_key_set(keys: Keys) -> dict[str, Any]:
    """Return the keys that verify access tokens: the present one first, then former ones.

    Args:
        keys: of the gateway.
    """
    entries = [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": ALGORITHM,
            "kid": key.id,
            "x": urlsafe_b64encode(key.material).decode().rstrip("="),
        }
        for key in keys.public(TOKENS, GATEWAY)
    ]
    return {"keys": entries}
