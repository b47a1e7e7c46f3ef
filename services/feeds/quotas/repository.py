"""SQL of what tenants have of quotas."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

_COUNT_FEEDS: Final = sa.text("SELECT count(*) FROM feed WHERE tenant = :tenant")
_SUM_LISTED: Final = sa.text(
    "SELECT coalesce(sum(listed), 0)::bigint FROM feed WHERE tenant = :tenant"
)


def count_feeds(session: Session, tenant: str) -> int:
    """The number of a tenant's feeds."""
    return int(session.scalars(_COUNT_FEEDS, {"tenant": tenant}).one())


def count_listed(session: Session, tenant: str) -> int:
    """The number of observables that a tenant's feeds list."""
    return int(session.scalars(_SUM_LISTED, {"tenant": tenant}).one())
