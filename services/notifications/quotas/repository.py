"""SQL of what tenants have of quotas."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

_COUNT_RULES: Final = sa.text("SELECT count(*) FROM rule WHERE tenant = :tenant")
_COUNT_CHANNELS: Final = sa.text("SELECT count(*) FROM channel WHERE tenant = :tenant")


def count_rules(session: Session, tenant: str) -> int:
    """The number of a tenant's rules."""
    return int(session.scalars(_COUNT_RULES, {"tenant": tenant}).one())


def count_channels(session: Session, tenant: str) -> int:
    """The number of a tenant's channels."""
    return int(session.scalars(_COUNT_CHANNELS, {"tenant": tenant}).one())
