"""SQL of what tenants have of quotas."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

_COUNT_SCHEDULES: Final = sa.text("SELECT count(*) FROM schedule WHERE tenant = :tenant")


def count_schedules(session: Session, tenant: str) -> int:
    """The number of a tenant's schedules."""
    return int(session.scalars(_COUNT_SCHEDULES, {"tenant": tenant}).one())
