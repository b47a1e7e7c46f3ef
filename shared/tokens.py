"""Issuing tokens. The command line does so in every call: this needs no library for it.

A token is a JWT (RFC 7519) in the compact form of RFC 7515, signed with HMAC-SHA256. `shared.auth`
verifies it with a library.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import uuid4

from pydantic import SecretStr

from shared.errors import InvalidInput
from shared.tenants import PUBLIC, is_tenant

ALGORITHM: Final = "HS256"
ISSUER: Final = "sentineliq"
AUDIENCE: Final = "sentineliq"
"""The APIs of an installation: a token for anything else opens nothing here."""
MAX_LIFETIME: Final = timedelta(days=90)

_KEY_ID: Final = b"sentineliq/key-id/v1"

RoleName = Literal["viewer", "analyst", "admin", "operator"]


def issue_token(
    secret: SecretStr,
    *,
    actor: str,
    tenant: str,
    role: RoleName,
    lifetime: timedelta = timedelta(days=30),
) -> str:
    """Issue a signed token.

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
    header = {"typ": "JWT", "alg": ALGORITHM, "kid": key_id(secret)}
    content = b".".join((_encode(header), _encode(claims)))
    signature = hmac.digest(secret.get_secret_value().encode(), content, "sha256")
    return b".".join((content, _base64url(signature))).decode()


def key_id(secret: SecretStr) -> str:
    """Return the name of a signing key, which tells nothing of it."""
    return hmac.digest(secret.get_secret_value().encode(), _KEY_ID, "sha256").hex()[:16]


def token_id(token: str) -> str:
    """Return the id of a token that was just issued, without verifying anything."""
    claims = token.split(".")[1]
    padded = claims + "=" * (-len(claims) % 4)
    return str(json.loads(base64.urlsafe_b64decode(padded))["jti"])


def _encode(part: Mapping[str, object]) -> bytes:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
