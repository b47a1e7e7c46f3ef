"""Which tenants are frozen, as each service knows it from `gateway.revoked.v1`.

Their tokens are refused (`shared.token_registry`), their lists are not polled, and their work
waits: what leases rows in turns of tenants leaves theirs out.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

FROZEN: Final = "tenant:"
"""The id of the row of a frozen tenant in the table `token`."""
_TOKEN: Final = sa.table("token", sa.column("tenant"), sa.column("id"), sa.column("revoked_at"))


def is_frozen(tenant: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether the tenant of a row is frozen, in a transaction of the platform or of that tenant."""
    place = (_TOKEN.c.tenant == tenant, _TOKEN.c.id == FROZEN, _TOKEN.c.revoked_at.is_not(None))
    return sa.exists().where(*place)


def is_tenant_frozen(session: Session, tenant: str) -> bool:
    """Whether a tenant is frozen, in a transaction of the platform or of that tenant."""
    return bool(session.scalar(sa.select(is_frozen(sa.literal(tenant)))))
