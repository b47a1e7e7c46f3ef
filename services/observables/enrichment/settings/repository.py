"""What tenants set about enrichers: switched on or off, their keys, the plans these belong to, how far markings go."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.database import PUBLIC

SETTING: Final = sa.Table(
    "enricher_setting",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("enricher", sa.Text, primary_key=True),
    sa.Column("enabled", sa.Boolean),
    sa.Column("key_id", pg.UUID(as_uuid=True)),
    sa.Column("sealed_key", sa.LargeBinary),
    sa.Column("max_tlp", sa.Text),
    sa.Column("rate_calls", sa.Integer),
    sa.Column("rate_seconds", sa.Float),
    sa.Column("daily", sa.Integer),
    sa.Column("changed_at", sa.DateTime(timezone=True)),
    sa.Column("changed_by", sa.Text),
)


def of_tenant(session: Session, tenant: str) -> Sequence[sa.Row[Any]]:
    """The tenant's own settings and the operators'."""
    return session.execute(sa.select(SETTING).where(SETTING.c.tenant.in_({tenant, PUBLIC}))).all()


def of_owner(session: Session, tenant: str, enricher: str) -> sa.Row[Any] | None:
    """One setting."""
    mine = sa.and_(SETTING.c.tenant == tenant, SETTING.c.enricher == enricher)
    return session.execute(sa.select(SETTING).where(mine)).one_or_none()


def put(
    session: Session, tenant: str, enricher: str, actor: str, now: datetime, values: dict[str, Any]
) -> None:
    """Change some of a setting."""
    values = {**values, "changed_at": now, "changed_by": actor}
    statement = insert(SETTING).values(tenant=tenant, enricher=enricher, **values)
    session.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "enricher"], set_=values)
    )


def lock(session: Session, enricher: str) -> None:
    """Until the transaction ends, nobody else moves this enricher's questions from one key to another."""
    session.execute(
        sa.text(
            "SELECT pg_advisory_xact_lock(hashtext('sentineliq.enricher_setting'), hashtext(:enricher))"
        ),
        {"enricher": enricher},
    )
