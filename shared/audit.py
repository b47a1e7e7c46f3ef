"""The audit: who changed what, in rows that nobody changes.

Each service has a table `audit` in its schema. A row is written in the transaction of the change
that it records, so that neither exists without the other. The service's role may add and read
rows; it may not change or delete them. Rows go when their retention is over, through a function of
the schema that refuses younger ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from shared.events.audit import Recorded

AUDIT: Final = sa.Table(
    "audit",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("actor", sa.Text),
    sa.Column("action", sa.Text),
    sa.Column("target", sa.Text),
    sa.Column("details", pg.JSONB),
    sa.Column("recorded_at", sa.DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A stored change.

    Attributes:
        actor: the subject of the token.
        action: for instance `feeds.create`.
        target: the id of what was changed.
        details: what is worth keeping; never a secret.
    """

    id: int
    tenant: str
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records to list; None matches all."""

    tenant: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None


def append_record(session: Session, tenant: str, recorded: Recorded) -> None:
    """Add a record to the audit of the transaction's service."""
    session.execute(
        sa.insert(AUDIT).values(
            tenant=tenant,
            actor=recorded.actor,
            action=recorded.action,
            target=recorded.target,
            details=recorded.details,
        )
    )


def list_records(
    session: Session, conditions: AuditFilter, before: int | None, limit: int
) -> Sequence[AuditRecord]:
    """Return the records that the transaction's tenant may read, newest first.

    Args:
        session: the transaction; that of the platform reads the records of all tenants.
        conditions: which records.
        before: the id of a record; newer ones are left out, and itself. None begins with the
            newest.
        limit: the most records to return.
    """
    query = sa.select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    for name in ("tenant", "actor", "action", "target"):
        value = getattr(conditions, name)
        if value is not None:
            query = query.where(AUDIT.c[name] == value)
    if before is not None:
        query = query.where(AUDIT.c.id < before)
    return [AuditRecord(*row) for row in session.execute(query)]
