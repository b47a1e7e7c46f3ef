"""The SQL of policies and of their daily budgets."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.observables.enrichment.policies.models import (
    POLICY,
    Policy,
    PolicyDay,
    PolicyRow,
    PolicyUse,
)
from shared.errors import Conflict

_COLUMNS: Final = tuple(POLICY.c[name] for name in PolicyRow._fields)

# The no-op update locks the row: no other transaction spends of the budget meanwhile.
_LOCK_BUDGET: Final = sa.text("""
INSERT INTO enrichment_policy_use AS use (tenant, policy_id, day, asked, over_budget)
VALUES (:tenant, :policy, :day, 0, 0) ON CONFLICT (policy_id, day)
DO UPDATE SET asked = use.asked RETURNING asked
""")
_SPEND: Final = sa.text("""
INSERT INTO enrichment_policy_use AS use (tenant, policy_id, day, asked, over_budget)
VALUES (:tenant, :policy, :day, :asked, :over) ON CONFLICT (policy_id, day)
DO UPDATE SET asked = use.asked + excluded.asked,
    over_budget = use.over_budget + excluded.over_budget
""")
_USE_ON: Final = sa.text("""
SELECT policy_id, asked, over_budget FROM enrichment_policy_use
WHERE tenant = :tenant AND day = :day
""")


def by_tenant(session: Session, tenant: str) -> list[PolicyRow]:
    """A tenant's policies, the oldest first."""
    query = sa.select(*_COLUMNS).where(POLICY.c.tenant == tenant)
    rows = session.execute(query.order_by(POLICY.c.created_at, POLICY.c.id))
    return [PolicyRow(*row) for row in rows]


def enabled(session: Session, tenant: str) -> list[Policy]:
    """The enabled policies of a tenant, the oldest first."""
    return [row.policy() for row in by_tenant(session, tenant) if row.enabled]


def get(session: Session, tenant: str, policy: UUID) -> PolicyRow | None:
    """A policy of the tenant."""
    row = session.execute(sa.select(*_COLUMNS).where(_is(tenant, policy))).one_or_none()
    return PolicyRow(*row) if row else None


def lock(session: Session, tenant: str, policy: UUID) -> PolicyRow | None:
    """A policy of the tenant, locked until the transaction ends."""
    query = sa.select(*_COLUMNS).where(_is(tenant, policy)).with_for_update()
    row = session.execute(query).one_or_none()
    return PolicyRow(*row) if row else None


def add(
    session: Session, tenant: str, policy: UUID, values: Mapping[str, Any], actor: str
) -> PolicyRow:
    """Store a policy.

    Raises:
        Conflict: the tenant has one of that name.
    """
    row = {**values, "tenant": tenant, "id": policy, "created_by": actor}
    statement = sa.insert(POLICY).values(**row).returning(*_COLUMNS)
    try:
        return PolicyRow(*session.execute(statement).one())
    except IntegrityError as error:
        raise _name_conflict(values) from error


def change(
    session: Session, tenant: str, policy: UUID, values: Mapping[str, Any]
) -> PolicyRow | None:
    """Change columns of a policy; None where the tenant has no such policy.

    Raises:
        Conflict: the tenant has another one of that name.
    """
    if not values:
        return get(session, tenant, policy)
    statement = sa.update(POLICY).where(_is(tenant, policy)).values(**values)
    try:
        row = session.execute(statement.returning(*_COLUMNS)).one_or_none()
    except IntegrityError as error:
        raise _name_conflict(values) from error
    return PolicyRow(*row) if row else None


def _name_conflict(values: Mapping[str, Any]) -> Conflict:
    return Conflict(f"There is a policy named {values['name']!r} already.", field="name")


def delete(session: Session, tenant: str, policy: UUID) -> bool:
    """Delete a policy; whether there was one."""
    statement = sa.delete(POLICY).where(_is(tenant, policy)).returning(POLICY.c.id)
    return session.execute(statement).first() is not None


def _is(tenant: str, policy: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(POLICY.c.tenant == tenant, POLICY.c.id == policy)


def lock_budgets(session: Session, tenant: str, days: Iterable[PolicyDay]) -> dict[PolicyDay, int]:
    """How many jobs policies stored on some days; the budgets are locked."""
    used = {}
    for policy, day in sorted(set(days)):
        parameters = {"tenant": tenant, "policy": policy, "day": day}
        used[policy, day] = int(session.scalar(_LOCK_BUDGET, parameters) or 0)
    return used


def spend(session: Session, tenant: str, uses: Mapping[PolicyDay, PolicyUse]) -> None:
    """Count the jobs that policies stored, and those that they had no budget for."""
    for (policy, day), use in sorted(uses.items()):
        parameters = {
            "tenant": tenant,
            "policy": policy,
            "day": day,
            "asked": use.stored,
            "over": use.over_budget,
        }
        session.execute(_SPEND, parameters)


def use_on(session: Session, tenant: str, day: date) -> dict[UUID, PolicyUse]:
    """What a tenant's policies asked on a day."""
    rows = session.execute(_USE_ON, {"tenant": tenant, "day": day})
    return {policy: PolicyUse(stored, over) for policy, stored, over in rows}
