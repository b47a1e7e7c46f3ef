"""What tenants have of what quotas count."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

_API_KEYS: Final = sa.text(
    "SELECT count(*) FROM api_key WHERE tenant = :tenant AND revoked_at IS NULL"
    " AND expires_at > now()"
)
_INVITATIONS: Final = sa.text(
    "SELECT count(*) FROM invitation WHERE tenant = :tenant AND accepted_at IS NULL"
    " AND withdrawn_at IS NULL AND expires_at > now()"
)
_PROVIDERS: Final = sa.text("SELECT count(*) FROM provider WHERE tenant = :tenant")


def count_api_keys(session: Session, tenant: str) -> int:
    """The API keys of a tenant that are valid."""
    return session.scalar(_API_KEYS, {"tenant": tenant}) or 0


def count_invitations(session: Session, tenant: str) -> int:
    """The invitations of a tenant that somebody may accept."""
    return session.scalar(_INVITATIONS, {"tenant": tenant}) or 0


def count_providers(session: Session, tenant: str) -> int:
    """The identity providers of a tenant."""
    return session.scalar(_PROVIDERS, {"tenant": tenant}) or 0
