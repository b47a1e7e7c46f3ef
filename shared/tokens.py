"""Issuing tokens. The command line does so in every call: this needs no library for it.

A token is a JWT (RFC 7519) in the compact form of RFC 7515, signed with Ed25519 (RFC 9864).
Services have the public key alone: `shared.auth` verifies tokens with a library, and nothing there
can make one.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.errors import InvalidInput
from shared.keys import OPERATOR, TOKENS, DerivedKeys, Key
from shared.secret_values import Secret
from shared.tenants import PUBLIC, is_tenant

ALGORITHM: Final = "Ed25519"
ISSUER: Final = "sentineliq"
AUDIENCE: Final = "sentineliq"
"""The APIs of an installation: a token for anything else opens nothing here."""
MAX_LIFETIME: Final = timedelta(days=90)
ACCESS_ISSUER: Final = "urn:sentineliq:gateway"
"""The gateway, whose access tokens (RFC 9068) are for one service each."""
ACCESS_TYPE: Final = "at+jwt"
MAX_ACCESS_LIFETIME: Final = timedelta(minutes=15)

_LONGEST_HEADER: Final = 512
"""Characters. It is read before anything is verified."""

RoleName = Literal["viewer", "analyst", "admin", "operator"]


def issue_token(
    secret: Secret,
    *,
    actor: str,
    tenant: str,
    role: RoleName,
    lifetime: timedelta = timedelta(days=30),
) -> str:
    """Issue a signed token.

    Args:
        secret: the installation's, from which the key of tokens is derived.
        actor: the token's owner.
        tenant: where it is valid.
        role: what its owner may do.
        lifetime: how long it is valid.

    Raises:
        InvalidInput: the tenant's name is not allowed, the role does not fit the tenant, or the
            token would be valid for too long.
    """
    if lifetime > MAX_LIFETIME:
        raise InvalidInput(f"A token is valid for {MAX_LIFETIME.days} days at most.", field="days")
    if not is_tenant(tenant):
        raise InvalidInput(
            "A tenant's name has up to 63 lower case letters, digits and dashes; "
            "it begins with a letter or digit.",
            field="tenant",
        )
    if tenant == PUBLIC and role != "operator":
        raise InvalidInput("Only operators may have a token for the tenant public.", field="tenant")
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "jti": uuid4().hex,
        "sub": actor,
        "tenant": tenant,
        "role": role,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }
    key = DerivedKeys(secret).private(TOKENS, OPERATOR)
    return sign_claims(key, "JWT", claims)


def sign_claims(key: Key, token_type: str, claims: Mapping[str, object]) -> str:
    """Sign claims with a private key; return the token.

    Args:
        key: the private key.
        token_type: the header `typ`.
        claims: of the token.
    """
    header = {"typ": token_type, "alg": ALGORITHM, "kid": key.id}
    content = b".".join((_encode(header), _encode(claims)))
    signature = Ed25519PrivateKey.from_private_bytes(key.material).sign(content)
    return b".".join((content, _base64url(signature))).decode()


def token_id(token: str) -> str:
    """Return the id of a token that was just issued, without verifying anything."""
    return str(_decode(token.split(".")[1])["jti"])


def token_key_id(token: str) -> str:
    """Return the id of the key that a token names, without verifying anything.

    Raises:
        ValueError: it names none.
    """
    part = token.partition(".")[0]
    header = _decode(part) if len(part) <= _LONGEST_HEADER else None
    name = header.get("kid") if isinstance(header, dict) else None
    if not name:
        raise ValueError("the token names no key")
    return str(name)


def _decode(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _encode(part: Mapping[str, object]) -> bytes:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
