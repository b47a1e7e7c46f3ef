"""Events of the gateway, the owner of identity."""

from typing import Literal

import msgspec

from shared.events.envelope import Topic

RevocationKind = Literal["token", "grant", "actor", "tenant"]


class Revoked(msgspec.Struct, omit_defaults=True):
    """Services accept something no more, or accept a tenant again.

    Attributes:
        kind: `token`: one token. `grant`: the tokens of a session, an API key or a client. `actor`:
            what was issued before to somebody in the tenant of the event. `tenant`: every token of
            the tenant, as long as it is frozen.
        name: the token's id, the grant, or the actor's name; empty for a tenant.
        revoked_at: RFC 3339. Of an actor's tokens those end that were issued before it.
        expires_at: RFC 3339: when all that it ends has expired by itself.
        actor: who revoked it.
        is_lifted: whether the tenant may act again.
    """

    kind: RevocationKind
    name: str
    revoked_at: str
    expires_at: str
    actor: str
    is_lifted: bool = False


REVOKED = Topic(
    "gateway.revoked.v1",
    Revoked,
    "A token, a grant, a person's tokens or a tenant is accepted no more.",
    "tenant, kind and name",
    compacted=True,
    kept_days=100,
)
"""Kept as long as a token can be valid, so that a service of a new database knows all of them."""
