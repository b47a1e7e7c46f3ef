"""SQL of rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.notifications.rules.models import RULE
from shared.errors import Conflict

_REMEMBER = sa.text(
    "INSERT INTO notified_change (tenant, rule_id, change_id)"
    " SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:rules AS uuid[]),"
    " CAST(:changes AS uuid[])) ON CONFLICT (rule_id, change_id) DO NOTHING"
    " RETURNING rule_id, change_id"
)
_VERSION = sa.text(
    "SELECT current_database(), coalesce(sum(version), 0)::bigint, clock_timestamp()"
    " FROM rule_version"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A stored rule; an empty list means any.

    Attributes:
        on: kinds of change, and `health` for the health of feeds.
        sources: names of feeds.
        tags: one of them must be there.
        filter: an expression that has to match, too; empty for none.
        group_by: fields whose values make a group; `event`: each event by itself.
        update_seconds: from one message of a group to the next.
        max_groups: most groups that are open at a time.
        digest_id: the digest that its matches wait for, if there is one.
        escalation: the next recipients of groups that nobody acknowledges.
        topic: what it is about; conditions beside `sources` and `filter` are about observables.
    """

    id: UUID
    tenant: str
    name: str
    enabled: bool
    on: list[str]
    types: list[str]
    min_score: int | None
    sources: list[str]
    tags: list[str]
    channel_ids: list[UUID]
    created_at: datetime
    updated_at: datetime
    filter: str
    group_by: list[str]
    update_seconds: int
    max_groups: int
    severity: str
    digest_id: UUID | None
    escalation: list[dict[str, Any]]
    topic: str


def rules_version(session: Session) -> tuple[tuple[str, int], datetime]:
    """A value that differs whenever what rules stand on was changed, and the database's time."""
    name, version, now = session.execute(_VERSION).one()
    return (name, version), now


def remember_changes(
    session: Session, matches: Sequence[tuple[str, UUID, UUID]]
) -> set[tuple[UUID, UUID]]:
    """Note of which changes rules notify; which rule and change that is for the first time.

    Args:
        session: the platform's own transaction.
        matches: tenant and id of the rule, and the change's id.
    """
    if not matches:
        return set()
    tenants, rules, changes = zip(*matches, strict=True)
    values = {"tenants": list(tenants), "rules": list(rules), "changes": list(changes)}
    return {(row.rule_id, row.change_id) for row in session.execute(_REMEMBER, values)}


def enabled_rules(session: Session) -> Sequence[Rule]:
    """All tenants' enabled rules."""
    query = sa.select(RULE).where(RULE.c.enabled).order_by(RULE.c.id)
    return [Rule(*row) for row in session.execute(query)]


def find(session: Session, rule_id: UUID, *, lock: bool = False) -> Rule | None:
    """A rule of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(RULE).where(RULE.c.id == rule_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Rule(*row)


def list_by_name(session: Session, after: tuple[str, UUID] | None, limit: int) -> Sequence[Rule]:
    """Rules by name, from behind the name and id `after`."""
    query = sa.select(RULE).order_by(RULE.c.name, RULE.c.id).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(RULE.c.name, RULE.c.id) > sa.tuple_(*after))
    return [Rule(*row) for row in session.execute(query)]


def insert(session: Session, values: Mapping[str, Any]) -> Rule:
    """Store a new rule.

    Raises:
        Conflict: the tenant has a rule of that name.
    """
    return _write(session, sa.insert(RULE).values(**values), values["name"])


def update(session: Session, rule: Rule, values: Mapping[str, Any]) -> Rule:
    """Change a rule.

    Raises:
        Conflict: the tenant has another rule of that name.
    """
    statement = sa.update(RULE).where(RULE.c.id == rule.id)
    changes = {**values, "updated_at": sa.func.now()}
    return _write(session, statement.values(**changes), values["name"])


def _write(session: Session, statement: sa.Insert | sa.Update, name: str) -> Rule:
    try:
        return Rule(*session.execute(statement.returning(RULE)).one())
    except IntegrityError as error:
        raise Conflict(f"There is already a rule named {name}.", field="name") from error


def delete(session: Session, rule: Rule) -> None:
    """Delete a rule; its deliveries stay."""
    session.execute(sa.delete(RULE).where(RULE.c.id == rule.id))
