"""SQL of templates."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.notifications.templates.models import TEMPLATE

_KEEP_RULE: Final = sa.text("SELECT topic FROM rule WHERE id = :rule FOR KEY SHARE")


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A stored template."""

    rule_id: UUID
    tenant: str
    text: str
    created_at: datetime
    updated_at: datetime


def keep_rule(session: Session, rule_id: UUID) -> str | None:
    """The topic of a rule, which stays until the transaction ends; None if there is none."""
    topic: str | None = session.scalar(_KEEP_RULE, {"rule": rule_id})
    return topic


def find(session: Session, rule_id: UUID) -> StoredTemplate | None:
    """The template of a rule of the transaction's tenant."""
    query = sa.select(TEMPLATE).where(TEMPLATE.c.rule_id == rule_id)
    row = session.execute(query).one_or_none()
    return None if row is None else StoredTemplate(*row)


def texts_of(session: Session, rule_ids: Collection[UUID]) -> dict[UUID, str]:
    """The templates of those of some rules that have one."""
    columns = TEMPLATE.c
    query = sa.select(columns.rule_id, columns.text).where(columns.rule_id.in_(rule_ids))
    return {row.rule_id: row.text for row in session.execute(query)}


def put(session: Session, values: Mapping[str, Any]) -> StoredTemplate:
    """Store the template of a rule, in place of the one before."""
    now = sa.func.clock_timestamp()
    statement = insert(TEMPLATE).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=["rule_id"], set_={"text": values["text"], "updated_at": now}
    )
    return StoredTemplate(*session.execute(statement.returning(TEMPLATE)).one())


def delete(session: Session, rule_id: UUID) -> None:
    """Delete the template of a rule."""
    session.execute(sa.delete(TEMPLATE).where(TEMPLATE.c.rule_id == rule_id))
