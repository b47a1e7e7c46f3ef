"""SQL of the inbox. It joins the tables of deliveries and channels rather than copy their rows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

_FROM = (
    " FROM delivery AS d LEFT JOIN inbox_mark AS m"
    " ON m.tenant = :tenant AND m.actor = :actor AND m.delivery_id = d.id"
    " WHERE d.tenant = :tenant AND d.state = 'delivered'"
    " AND d.channel_id = ANY (ARRAY(SELECT id FROM channel WHERE tenant = :tenant"
    " AND kind = 'inbox'))"
    " AND (m.read_at IS NULL OR NOT :only_unread)"
)
_LIST = sa.text(
    "SELECT d.id, d.channel, d.rule_id, d.rule, d.kind, d.severity, d.source, d.group_id,"
    " d.match_count, d.total_count, d.reason, d.created_at, m.read_at"
    f"{_FROM} AND (CAST(:before AS uuid) IS NULL OR d.id < :before) ORDER BY d.id DESC LIMIT :most"
)
_COUNT = sa.text(f"SELECT count(*) {_FROM}")
_MARK = sa.text(
    "INSERT INTO inbox_mark (tenant, actor, delivery_id, read_at)"
    f" SELECT :tenant, :actor, d.id, now() {_FROM} AND (CAST(:id AS uuid) IS NULL OR d.id = :id)"
    " AND (CAST(:until AS uuid) IS NULL OR d.id <= :until)"
    " ORDER BY d.id DESC LIMIT :most ON CONFLICT DO NOTHING RETURNING delivery_id"
)
_EXISTS = sa.text(f"SELECT 1 {_FROM} AND d.id = :id")


def list_items(
    session: Session,
    tenant: str,
    actor: str,
    before: UUID | None,
    limit: int,
    *,
    only_unread: bool,
) -> Sequence[sa.Row[Any]]:
    """Messages, newest first, from behind the message `before`."""
    values = {
        "tenant": tenant,
        "actor": actor,
        "before": before,
        "most": limit,
        "only_unread": only_unread,
    }
    return session.execute(_LIST, values).all()


def count_unread(session: Session, tenant: str, actor: str) -> int:
    """The number of messages that an actor has not read."""
    values = {"tenant": tenant, "actor": actor, "only_unread": True}
    return int(session.execute(_COUNT, values).scalar_one())


def exists(session: Session, tenant: str, actor: str, delivery_id: UUID) -> bool:
    """Whether a delivery is in the inbox."""
    values = {"tenant": tenant, "actor": actor, "only_unread": False, "id": delivery_id}
    return session.execute(_EXISTS, values).first() is not None


def mark(
    session: Session,
    tenant: str,
    actor: str,
    limit: int,
    *,
    delivery_id: UUID | None = None,
    until: UUID | None = None,
) -> int:
    """Mark messages as read: one, or all up to one.

    Returns:
        How many of them were not marked before.
    """
    values = {
        "tenant": tenant,
        "actor": actor,
        "only_unread": True,
        "id": delivery_id,
        "until": until,
        "most": limit,
    }
    return len(session.execute(_MARK, values).all())
