"""SQL of what tenants have of quotas."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

_COUNT_RULES: Final = sa.text("SELECT count(*) FROM rule WHERE tenant = :tenant")
_COUNT_CHANNELS: Final = sa.text("SELECT count(*) FROM channel WHERE tenant = :tenant")
_COUNT_SILENCES: Final = sa.text(
    "SELECT count(*) FROM silence WHERE tenant = :tenant AND ends_at > now()"
)
_COUNT_INHIBITIONS: Final = sa.text("SELECT count(*) FROM inhibition WHERE tenant = :tenant")
_COUNT_WATCHLISTS: Final = sa.text("SELECT count(*) FROM watchlist WHERE tenant = :tenant")
_COUNT_DIGESTS: Final = sa.text("SELECT count(*) FROM digest WHERE tenant = :tenant")


def count_rules(session: Session, tenant: str) -> int:
    """The number of a tenant's rules."""
    return int(session.scalars(_COUNT_RULES, {"tenant": tenant}).one())


def count_channels(session: Session, tenant: str) -> int:
    """The number of a tenant's channels."""
    return int(session.scalars(_COUNT_CHANNELS, {"tenant": tenant}).one())


def count_silences(session: Session, tenant: str) -> int:
    """The number of a tenant's silences that have not ended."""
    return int(session.scalars(_COUNT_SILENCES, {"tenant": tenant}).one())


def count_inhibitions(session: Session, tenant: str) -> int:
    """The number of a tenant's inhibitions."""
    return int(session.scalars(_COUNT_INHIBITIONS, {"tenant": tenant}).one())


def count_watchlists(session: Session, tenant: str) -> int:
    """The number of a tenant's watchlists."""
    return int(session.scalars(_COUNT_WATCHLISTS, {"tenant": tenant}).one())


def count_digests(session: Session, tenant: str) -> int:
    """The number of a tenant's digests."""
    return int(session.scalars(_COUNT_DIGESTS, {"tenant": tenant}).one())
