"""The gate of the edge: who makes a request, and the access token that a service gets for it.

A session, a key, and the roles of their owner are read from the database once a second at most:
what ends there ends here within a second. A token of the command line goes on as it is.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from services.gateway.access.cache import ExpiringCache
from services.gateway.access.credential import Credential, read_credential
from services.gateway.api_keys.service import admit_key
from services.gateway.sessions.cookies import check_browser
from services.gateway.sessions.repository import grant_of, note_use
from services.gateway.sessions.service import find_owner
from services.gateway.tokens.access_tokens import (
    LIFETIME_SECONDS,
    AccessGrant,
    issue_access_token,
)
from shared.auth import Principal, verify_token
from shared.database import PLATFORM, Database
from shared.errors import Forbidden
from shared.keys import Keys
from shared.token_registry import TokenRegistry

_GRANT_SECONDS: Final = 1.0
_MOST_GRANTS: Final = 10_000
_TOKEN_SECONDS: Final = LIFETIME_SECONDS / 2
"""A token that was issued is good for two minutes more at least when it goes out."""

_Tokens = ExpiringCache[tuple[str, float]]
"""Access tokens, each with the time at which it was issued."""


@dataclass(frozen=True, slots=True)
class GrantAdmission:
    """Who was let in by a session or an API key.

    Attributes:
        grant: what the session or key grants.
        cutoff: a token that was issued before is refused, in seconds since 1970.
    """

    grant: AccessGrant
    keys: Keys = field(repr=False)
    tokens: _Tokens = field(repr=False)
    cutoff: float = 0.0

    @property
    def principal(self) -> Principal:
        """The actor, its tenant and its role."""
        return self.grant.principal

    def bearer(self, service: str) -> str:
        """The access token that a service gets."""
        key = (self.grant, service)
        cached = self.tokens.get(key)
        # What was issued before somebody was frozen stays refused when they may act again.
        if cached is not None and cached[1] >= self.cutoff:
            return cached[0]
        issued_at = time.time()
        token = issue_access_token(self.keys, self.grant, service)
        self.tokens.put(key, (token, issued_at))
        return token


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """Who sent a token of this installation.

    Attributes:
        principal: of the token.
        token: as it was sent; it names the services that accept it.
    """

    principal: Principal
    token: str = field(repr=False)

    def bearer(self, service: str) -> str:  # noqa: ARG002  # the service looks for itself
        """The client's own token."""
        return self.token


class IdentityGate:
    """Lets requests in by sessions, API keys and tokens.

    Args:
        keys: of the process.
        database: the gateway's.
        base_url: the installation's own address.
        registry: of revoked tokens; None leaves them to the services that get them.
    """

    def __init__(
        self,
        keys: Keys,
        database: Database,
        base_url: str,
        registry: TokenRegistry | None = None,
    ) -> None:
        self._keys = keys
        self._database = database
        self._base_url = base_url
        self._registry = registry
        self._grants: ExpiringCache[AccessGrant] = ExpiringCache(_GRANT_SECONDS, _MOST_GRANTS)
        self._tokens: _Tokens = ExpiringCache(_TOKEN_SECONDS, _MOST_GRANTS)

    async def admit(
        self, method: str, headers: Sequence[tuple[bytes, bytes]], peer: str
    ) -> GrantAdmission | TokenHolder:
        """Find out who makes a request.

        Args:
            method: of the request.
            headers: with names in lower case.
            peer: the address of the client.

        Raises:
            Unauthenticated: it shows nothing that is valid.
            Forbidden: a page of another site makes it, or it is for a tenant of others.
        """
        credential = read_credential(headers)
        if credential.kind == "token":
            principal = verify_token(self._keys, credential.secret)
            if self._registry is not None:
                # Flower and the metrics have no registry of their own: the gate is their only one.
                self._registry.check(principal)
            _require_same_tenant(principal, credential.tenant)
            return TokenHolder(principal, credential.secret)
        if credential.kind == "browser":
            check_browser(
                method,
                credential.secret,
                credential.csrf,
                credential.origin,
                credential.host,
                self._base_url,
            )
        # The address counts as well: a key may be for some networks alone.
        digest = sha256(credential.secret.encode()).digest()
        place = (digest, credential.tenant, peer)
        grant = self._grants.get(place)
        if grant is None:
            grant = await asyncio.to_thread(self._find_grant, credential, peer)
            self._grants.put(place, grant)
        cutoff = 0.0
        if self._registry is not None:
            self._registry.check(grant.principal)
            cutoff = self._registry.cutoff(grant.principal)
        return GrantAdmission(grant, self._keys, self._tokens, cutoff)

    def _find_grant(self, credential: Credential, peer: str) -> AccessGrant:
        if credential.kind == "key":
            grant = admit_key(self._database, self._keys, credential.secret, peer)
            _require_same_tenant(grant.principal, credential.tenant)
            return grant
        with self._database.transaction(PLATFORM) as session:
            owner = find_owner(session, credential.secret)
            choice = owner.act_in(credential.tenant)
            note_use(session, owner.session.id, peer)
        principal = Principal(owner.person.login, choice.tenant, choice.role)
        return AccessGrant(principal, grant_of(owner.session.id), owner.session.kind)


def _require_same_tenant(principal: Principal, tenant: str | None) -> None:
    if tenant is not None and tenant != principal.tenant:
        raise Forbidden("The token is for another tenant than the request names.")
