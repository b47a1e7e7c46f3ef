"""Identity: signed tokens that name an actor, a tenant and a role, and the table of permissions.

Tokens are JWT (RFC 7519) signed with Ed25519. Services verify them with a public key, and cannot
make one that another service would accept. The command line makes tokens of persons, for all
services; the gateway makes access tokens of minutes, for one service each (RFC 9068). Roles within
a tenant are viewer < analyst < admin; an operator runs the platform and may act in any tenant,
`public` included.
"""

import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from shared.errors import Forbidden, Unauthenticated
from shared.keys import GATEWAY, OPERATOR, TOKENS, Keys
from shared.tenants import is_tenant
from shared.tokens import (
    ACCESS_ISSUER,
    ACCESS_TYPE,
    ALGORITHM,
    AUDIENCE,
    ISSUER,
    MAX_ACCESS_LIFETIME,
    MAX_LIFETIME,
    RoleName,
    issue_token,
    token_key_id,
)

__all__ = [
    "PERMISSIONS",
    "Principal",
    "Role",
    "RoleName",
    "TokenFacts",
    "issue_token",
    "verify_token",
]

_NOT_VALID: Final = (
    "The token is not valid: it was changed, has expired, is of an earlier version, or belongs to "
    "another installation. Make one: sentineliq tokens create."
)
_CLAIMS = jwt.JWTClaimsRegistry(
    # Clocks of hosts differ. `verify_token` looks at the end of a token by itself.
    leeway=60,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    jti={"essential": True},
    iat={"essential": True},
    sub={"essential": True},
    tenant={"essential": True},
    role={"essential": True},
    exp={"essential": True},
)
_ACCESS_CLAIMS = jwt.JWTClaimsRegistry(
    leeway=60,
    iss={"essential": True, "value": ACCESS_ISSUER},
    aud={"essential": True},
    jti={"essential": True},
    iat={"essential": True},
    sub={"essential": True},
    sid={"essential": True},
    client_id={"essential": True},
    tenant={"essential": True},
    role={"essential": True},
    exp={"essential": True},
)


class Role(IntEnum):
    """The roles; each includes the permissions of those before it."""

    viewer = 1
    analyst = 2
    admin = 3
    operator = 4


PERMISSIONS: Final[dict[str, Role]] = {
    "feeds:read": Role.viewer,
    "feeds:write": Role.admin,
    "feeds:run": Role.analyst,
    "observables:read": Role.viewer,
    "observables:write": Role.analyst,
    "lists:read": Role.viewer,
    "lists:write": Role.analyst,
    "lists:publish": Role.admin,
    "collections:read": Role.viewer,
    "collections:write": Role.analyst,
    "collections:configure": Role.admin,
    "enrichment:read": Role.viewer,
    "enrichment:ask": Role.analyst,
    "enrichment:configure": Role.admin,
    "notifications:read": Role.viewer,
    "notifications:write": Role.analyst,
    "mitre:read": Role.viewer,
    "mitre:write": Role.operator,
    "schedules:read": Role.viewer,
    "schedules:write": Role.admin,
    "account:use": Role.viewer,
    "members:read": Role.admin,
    "members:write": Role.admin,
    "providers:write": Role.admin,
    "tenants:write": Role.operator,
    "audit:read": Role.admin,
    "tokens:read": Role.admin,
    "tokens:revoke": Role.admin,
    "quotas:read": Role.admin,
    "quotas:write": Role.operator,
    "outbox:operate": Role.operator,
    "consumers:operate": Role.operator,
    "platform:reconcile": Role.operator,
    "metrics:read": Role.operator,
    "tasks:read": Role.operator,
}
"""The permissions, each with the lowest role that has it. Every route names one of them."""


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token's id, and its times in seconds since 1970.

    Attributes:
        grant: the session, API key or client that the gateway gave an access token for; empty in
            others. It ends all its tokens with it.
        audience: the services that accept it; None: all.
    """

    id: str
    issued_at: float
    expires_at: float
    grant: str = ""
    audience: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The actor of a request, from a valid token.

    Attributes:
        scopes: the permissions that the token is for, of those that the role has; None: all.
    """

    actor: str
    tenant: str
    role: Role
    token: TokenFacts | None = field(default=None, compare=False)
    scopes: frozenset[str] | None = None

    def may(self, permission: str) -> bool:
        """Whether the role has a permission, and the token is for it."""
        if self.scopes is not None and permission not in self.scopes:
            return False
        return self.role >= PERMISSIONS[permission]

    def require(self, permission: str) -> None:
        """Check that the role has a permission.

        Raises:
            Forbidden: it has not, or the token is for others.
        """
        if not self.may(permission):
            if self.scopes is not None and permission not in self.scopes:
                raise Forbidden(
                    f"This token is not for {permission}: its scopes leave it out.",
                    permission=permission,
                )
            needed = PERMISSIONS[permission]
            raise Forbidden(
                f"{permission} needs the role {needed.name}; this token has {self.role.name}.",
                permission=permission,
            )


def verify_token(keys: Keys, token: str, audience: str | None = None) -> Principal:
    """Verify a token and return its principal.

    Args:
        keys: of the process.
        token: may be any text.
        audience: the service that is asked; None accepts a token for any.

    Raises:
        Unauthenticated: its key is not known or has ended, it was changed, has expired, or is for
            another service.
    """
    principal, facts = _verify(keys, token)
    if facts.expires_at <= time.time():
        raise Unauthenticated(_NOT_VALID)
    if audience and facts.audience is not None and audience not in facts.audience:
        raise Unauthenticated(f"The token is not for {audience}.")
    return principal


def _verify(keys: Keys, token: str) -> tuple[Principal, TokenFacts]:
    key_id = _key_id(token)
    for key in keys.public(TOKENS, OPERATOR):
        if key.id == key_id:
            return _verified(key.material, token)
    for key in keys.public(TOKENS, GATEWAY):
        if key.id == key_id:
            return _verified_access(key.material, token)
    raise Unauthenticated(_NOT_VALID)


@lru_cache(maxsize=1024)
def _key_id(token: str) -> str:
    try:
        return token_key_id(token)
    except ValueError as error:
        raise Unauthenticated(_NOT_VALID) from error


def _decode(public_key: bytes, token: str) -> jwt.Token:
    encoded = urlsafe_b64encode(public_key).decode().rstrip("=")
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": encoded})
    return jwt.decode(token, key, algorithms=[ALGORITHM])


@lru_cache(maxsize=1024)
def _verified(public_key: bytes, token: str) -> tuple[Principal, TokenFacts]:
    """Return a token's principal and facts. Cached: few tokens come with many requests."""
    try:
        decoded = _decode(public_key, token)
        _CLAIMS.validate(decoded.claims)
        claims = decoded.claims
        facts = TokenFacts(str(claims["jti"]), float(claims["iat"]), float(claims["exp"]))
        actor = str(claims["sub"])
        principal = Principal(actor, str(claims["tenant"]), Role[claims["role"]], facts)
    except (JoseError, KeyError, ValueError) as error:
        raise Unauthenticated(_NOT_VALID) from error
    _check_principal(principal, facts, MAX_LIFETIME)
    return principal, facts


@lru_cache(maxsize=4096)
def _verified_access(public_key: bytes, token: str) -> tuple[Principal, TokenFacts]:
    """Return the principal and facts of an access token of the gateway."""
    try:
        decoded = _decode(public_key, token)
        if decoded.header.get("typ") != ACCESS_TYPE:
            raise Unauthenticated(_NOT_VALID)
        claims = decoded.claims
        _ACCESS_CLAIMS.validate(claims)
        facts = TokenFacts(
            str(claims["jti"]),
            float(claims["iat"]),
            float(claims["exp"]),
            str(claims["sid"]),
            frozenset((claims["aud"],) if isinstance(claims["aud"], str) else claims["aud"]),
        )
        scopes = frozenset(str(claims["scope"]).split()) if "scope" in claims else None
        actor = str(claims["sub"])
        role = Role[claims["role"]]
        principal = Principal(actor, str(claims["tenant"]), role, facts, scopes)
    except (JoseError, KeyError, TypeError, ValueError) as error:
        raise Unauthenticated(_NOT_VALID) from error
    _check_principal(principal, facts, MAX_ACCESS_LIFETIME)
    return principal, facts


def _check_principal(principal: Principal, facts: TokenFacts, longest: timedelta) -> None:
    if not is_tenant(principal.tenant):
        raise Unauthenticated("The token names no tenant.")
    if facts.expires_at - facts.issued_at > longest.total_seconds():
        raise Unauthenticated(_NOT_VALID)
