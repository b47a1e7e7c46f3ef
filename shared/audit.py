"""The audit: who changed what, in rows that nobody changes.

Each service has a table `audit` in its schema. A row is written in the transaction of the change
that it records, so that neither exists without the other. The service's role may add and read
rows; it may not change or delete them. Rows go when their retention is over, through a function of
the schema that refuses younger ones. A trigger chains the rows of each tenant: each has the digest
of the one before it, so that a row that was changed, or is missing between two others, is noticed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa
from annotated_types import MaxLen
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from shared.events.audit import FieldChange, Recorded

AUDIT: Final = sa.Table(
    "audit",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("actor", sa.Text),
    sa.Column("action", sa.Text),
    sa.Column("target", sa.Text),
    sa.Column("details", pg.JSONB),
    sa.Column("changes", pg.JSONB),
    sa.Column("position", sa.BigInteger),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("recorded_at", sa.DateTime(timezone=True)),
)
SEALED: Final = "[sealed]"
"""What is shown of a secret."""

_MAX_SHOWN: Final = 2_000
_LISTED: Final = (
    "id",
    "tenant",
    "actor",
    "action",
    "target",
    "details",
    "changes",
    "position",
    "recorded_at",
)
_CHECK_CHAINS: Final = sa.text(
    """
    WITH link AS (
        SELECT tenant, position, digest,
            digest IS DISTINCT FROM audit_digest(audit)
            OR lag(position) OVER chain IS NOT NULL
            AND (position <> lag(position) OVER chain + 1
                OR previous IS DISTINCT FROM lag(digest) OVER chain)
            AS is_broken
        FROM audit WHERE position IS NOT NULL
        WINDOW chain AS (PARTITION BY tenant ORDER BY position)
    )
    SELECT tenant, count(*), min(position), max(position),
        encode((array_agg(digest ORDER BY position DESC))[1], 'hex'),
        min(position) FILTER (WHERE is_broken)
    FROM link GROUP BY tenant ORDER BY tenant
    """
)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A stored change.

    Attributes:
        actor: the subject of the token.
        action: for instance `feeds.create`.
        target: the id of what was changed.
        details: what is worth keeping; never a secret.
        changes: the fields that changed, each with its value before and after.
        position: its number in the chain of its tenant; None of records of before the chain.
    """

    id: int
    tenant: str
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    changes: dict[str, Any]
    position: int | None
    recorded_at: datetime


_Text = Annotated[str, MaxLen(500)]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records to list; None matches all."""

    tenant: _Text | None = None
    actor: _Text | None = None
    action: _Text | None = None
    target: _Text | None = None


@dataclass(frozen=True, slots=True)
class ChainLink:
    """The place of a record in the chain of its tenant."""

    position: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class ChainState:
    """What the check of a tenant's chain says.

    Attributes:
        records: how many it has; those of before the chain are left out.
        first: position of its oldest record, older ones have been deleted when their time was over.
        last: position of its newest record.
        digest: of its newest record, in hexadecimal digits.
        broken_at: the first position that does not follow from the one before; None of a chain
            that is whole.
    """

    tenant: str
    records: int
    first: int
    last: int
    digest: str
    broken_at: int | None


def changes_between(
    before: Mapping[str, Any], after: Mapping[str, Any], secrets: Collection[str] = ()
) -> dict[str, FieldChange]:
    """Return the fields that differ, as JSON shows them.

    Args:
        before: the fields as they were; empty of what is new.
        after: the fields as they are; empty of what is gone.
        secrets: fields of which nobody learns more than that they are set.
    """
    changes = {}
    for name in sorted({*before, *after}):
        old = before.get(name)
        new = after.get(name)
        if old == new:
            continue
        if name in secrets:
            old = None if old is None else SEALED
            new = None if new is None else SEALED
        changes[name] = FieldChange(_shown(old), _shown(new))
    return changes


def _shown(value: object) -> Any:
    plain = msgspec.to_builtins(value, enc_hook=str)
    text = msgspec.json.encode(plain).decode()
    return plain if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def append_record(session: Session, tenant: str, recorded: Recorded) -> ChainLink:
    """Add a record to the audit of the transaction's service; return its place in the chain."""
    changes = msgspec.to_builtins(recorded.changes)
    statement = sa.insert(AUDIT).values(
        tenant=tenant,
        actor=recorded.actor,
        action=recorded.action,
        target=recorded.target,
        details=recorded.details,
        changes=changes,
    )
    row = session.execute(statement.returning(AUDIT.c.position, AUDIT.c.digest)).one()
    return ChainLink(*row)


def check_chains(session: Session) -> list[ChainState]:
    """Check the chains of the tenants that the transaction may read.

    Each digest is computed anew from its record, and has to continue the one before it.
    """
    return [ChainState(*row) for row in session.execute(_CHECK_CHAINS)]


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
    columns = (AUDIT.c[name] for name in _LISTED)
    query = sa.select(*columns).order_by(AUDIT.c.id.desc()).limit(limit)
    for name in ("tenant", "actor", "action", "target"):
        value = getattr(conditions, name)
        if value is not None:
            query = query.where(AUDIT.c[name] == value)
    if before is not None:
        query = query.where(AUDIT.c.id < before)
    return [AuditRecord(**row) for row in session.execute(query).mappings()]
