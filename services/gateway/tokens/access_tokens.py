"""Access tokens (RFC 9068): minutes long, for one service each. No I/O."""

import time
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from shared.auth import Principal
from shared.keys import GATEWAY, TOKENS, Keys
from shared.tokens import ACCESS_ISSUER, ACCESS_TYPE, sign_claims

LIFETIME_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """What an access token is given for.

    Attributes:
        principal: the actor, its tenant, role and scopes.
        id: the session, API key or client; when it ends, so do its tokens.
        client_id: the program that uses the token.
    """

    principal: Principal
    id: str
    client_id: str


def issue_access_token(keys: Keys, grant: AccessGrant, audience: str) -> str:
    """Issue an access token.

    Args:
        keys: of the gateway.
        grant: what it is given for.
        audience: the service that accepts it.

    Raises:
        MissingKey: the process is no gateway.
    """
    now = int(time.time())
    principal = grant.principal
    claims: dict[str, object] = {
        "iss": ACCESS_ISSUER,
        "aud": audience,
        "jti": uuid4().hex,
        "sub": principal.actor,
        "sid": grant.id,
        "client_id": grant.client_id,
        "tenant": principal.tenant,
        "role": principal.role.name,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
    }
    if principal.scopes is not None:
        claims["scope"] = " ".join(sorted(principal.scopes))
    return sign_claims(keys.private(TOKENS, GATEWAY), ACCESS_TYPE, claims)
