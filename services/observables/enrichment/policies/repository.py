"""Policies and what they have used of their budgets."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.observables.enrichment.policies.selection import Policy
from shared.errors import Conflict

_TEXTS: Final = pg.ARRAY(sa.Text)
POLICY: Final = sa.Table(
    "enrichment_policy",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("enrichers", _TEXTS),
    sa.Column("types", _TEXTS),
    sa.Column("sources", _TEXTS),
    sa.Column("tags", _TEXTS),
    sa.Column("min_score", sa.SmallInteger),
    sa.Column("depth", sa.SmallInteger),
    sa.Column("daily_budget", sa.Integer),
    sa.Column("created_at", sa.DateTime(timezone=True)),
    sa.Column("created_by", sa.Text),
)
_USED: Final = sa.text(
    "INSERT INTO enrichment_policy_use AS mine (tenant, policy_id, day, asked, over_budget) "
    "VALUES (:tenant, :policy, :day, 0, 0) ON CONFLICT (policy_id, day) "
    "DO UPDATE SET asked = mine.asked RETURNING asked"
)
_SPEND: Final = sa.text(
    "INSERT INTO enrichment_policy_use AS mine (tenant, policy_id, day, asked, over_budget) "
    "VALUES (:tenant, :policy, :day, :asked, :over) ON CONFLICT (policy_id, day) "
    "DO UPDATE SET asked = mine.asked + excluded.asked, over_budget = mine.over_budget + excluded.over_budget"
)
_USE: Final = sa.text(
    "SELECT policy_id, day, asked, over_budget FROM enrichment_policy_use "
    "WHERE tenant = :tenant AND day > current_date - :days ORDER BY day DESC"
)


def policy_of(row: Any) -> Policy:
    """A stored policy as choosing needs it."""
    sets = (
        frozenset(row.enrichers),
        frozenset(row.types),
        frozenset(row.sources),
        frozenset(row.tags),
    )
    return Policy(row.id, row.name, *sets, row.min_score, row.depth, row.daily_budget)


def of_tenant(session: Session, tenant: str) -> Sequence[sa.Row[Any]]:
    """A tenant's policies, in the order in which they were made."""
    query = sa.select(POLICY).where(POLICY.c.tenant == tenant)
    return session.execute(query.order_by(POLICY.c.created_at, POLICY.c.id)).all()


def enabled(session: Session, tenant: str) -> list[Policy]:
    """The policies of a tenant that are switched on."""
    return [policy_of(row) for row in of_tenant(session, tenant) if row.enabled]


def one_of(session: Session, tenant: str, policy: UUID) -> sa.Row[Any] | None:
    """One policy."""
    mine = sa.and_(POLICY.c.tenant == tenant, POLICY.c.id == policy)
    return session.execute(sa.select(POLICY).where(mine)).one_or_none()


def put(
    session: Session, tenant: str, policy: UUID, values: Mapping[str, Any], actor: str
) -> sa.Row[Any]:
    """Make a policy.

    Raises:
        Conflict: there is one of that name.
    """
    row = {**values, "tenant": tenant, "id": policy, "created_by": actor}
    try:
        return session.execute(sa.insert(POLICY).values(**row).returning(POLICY)).one()
    except IntegrityError as error:
        raise Conflict(
            f"There is a policy named {values['name']!r} already.", field="body.name"
        ) from error


def change(
    session: Session, tenant: str, policy: UUID, values: Mapping[str, Any]
) -> sa.Row[Any] | None:
    """Change some of a policy.

    Raises:
        Conflict: there is another one of that name.
    """
    mine = sa.and_(POLICY.c.tenant == tenant, POLICY.c.id == policy)
    if not values:
        return one_of(session, tenant, policy)
    try:
        return session.execute(
            sa.update(POLICY).where(mine).values(**values).returning(POLICY)
        ).one_or_none()
    except IntegrityError as error:
        raise Conflict(
            f"There is a policy named {values['name']!r} already.", field="body.name"
        ) from error


def delete(session: Session, tenant: str, policy: UUID) -> bool:
    """Remove a policy; whether there was one."""
    mine = sa.and_(POLICY.c.tenant == tenant, POLICY.c.id == policy)
    return session.execute(sa.delete(POLICY).where(mine).returning(POLICY.c.id)).first() is not None


def used(
    session: Session, tenant: str, days: Iterable[tuple[UUID, date]]
) -> dict[tuple[UUID, date], int]:
    """What policies have asked on these days; nobody else spends of it until the transaction ends."""
    found = {}
    for policy, day in sorted(set(days)):
        asked = session.scalar(_USED, {"tenant": tenant, "policy": policy, "day": day})
        found[policy, day] = int(asked or 0)
    return found


def spend(
    session: Session, tenant: str, spent: Mapping[tuple[UUID, date], tuple[int, int]]
) -> None:
    """Note what policies asked, and what they had no budget for, by policy and day."""
    for (policy, day), (asked, over) in sorted(spent.items()):
        session.execute(
            _SPEND, {"tenant": tenant, "policy": policy, "day": day, "asked": asked, "over": over}
        )


def use(session: Session, tenant: str, days: int) -> Sequence[sa.Row[Any]]:
    """What a tenant's policies asked in the last days."""
    return session.execute(_USE, {"tenant": tenant, "days": days}).all()
