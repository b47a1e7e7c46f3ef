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

from pydantic import SecretStr

from shared.errors import InvalidInput
from shared.tenants import PUBLIC, is_tenant

ALGORITHM: Final = "HS256"
ISSUER: Final = "sentineliq"

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
        InvalidInput: the tenant's name is not allowed, or the role does not fit the tenant.
    """
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
        "sub": actor,
        "tenant": tenant,
        "role": role,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }
    header = {"typ": "JWT", "alg": ALGORITHM}
    content = b".".join((_encode(header), _encode(claims)))
    signature = hmac.digest(secret.get_secret_value().encode(), content, "sha256")
    return b".".join((content, _base64url(signature))).decode()


def _encode(part: Mapping[str, object]) -> bytes:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
