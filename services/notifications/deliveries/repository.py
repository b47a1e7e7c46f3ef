"""SQL of deliveries."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import Session

from services.notifications.deliveries.models import DELIVERY, MATCHES
from shared.leases import LeasedTable

DELIVERIES: Final = LeasedTable(
    DELIVERY, lease=timedelta(seconds=60), waiting="pending", running="delivering"
)
"""A lease lasts for four attempts, and is never renewed."""

_ADD = sa.text(
    "INSERT INTO delivery (id, tenant, rule_id, channel_id, rule, channel, event_id, source,"
    " matches, match_count, event_at)"
    " VALUES (:id, :tenant, :rule_id, :channel_id, :rule, :channel, :event_id, :source,"
    " CAST(:matches AS jsonb), :match_count, :event_at)"
    " ON CONFLICT (rule_id, channel_id, event_id) DO NOTHING"
)
# The expression of the index `delivery_due`, so that a claim reads only the rows that it takes.
_DUE_AT = sa.func.coalesce(DELIVERY.c.lease_until, DELIVERY.c.next_attempt_at)


class NewDelivery(TypedDict):
    """A delivery to store; `matches` is encoded JSON."""

    id: UUID
    tenant: str
    rule_id: UUID
    channel_id: UUID
    rule: str
    channel: str
    event_id: str
    source: str
    matches: str
    match_count: int
    event_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored delivery.

    Attributes:
        rule, channel: names at the time of the match.
        event_at: when the change was published.
        next_attempt_at: None while a worker has it, and at its end.
        last_error: the reason of the last failed attempt.
        finished_at: when it was delivered, or failed for good.
        holder: the claim that a worker has on it.
        lease_until: when another worker may claim it.
    """

    id: UUID
    tenant: str
    rule_id: UUID
    channel_id: UUID
    rule: str
    channel: str
    event_id: str
    source: str
    state: str
    match_count: int
    attempts: int
    next_attempt_at: datetime | None
    last_error: dict[str, Any] | None
    response_status: int | None
    event_at: datetime
    created_at: datetime
    finished_at: datetime | None
    holder: UUID | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that a worker has, and its claim."""

    delivery: Delivery
    holder: UUID


def add(session: Session, deliveries: Sequence[NewDelivery]) -> None:
    """Store deliveries; a repeated one for the same rule, channel and event changes nothing."""
    session.execute(_ADD, deliveries)


def waiting_tenants(session: Session) -> list[str]:
    """The tenants that have deliveries to claim."""
    return DELIVERIES.waiting_tenants(session)


def claim(
    session: Session, tenant: str, limit: int, busy_channels: Iterable[UUID]
) -> list[ClaimedDelivery]:
    """Claim deliveries of a tenant that are due, those that are due the longest first.

    Args:
        session: the platform's own transaction.
        tenant: whose.
        limit: most deliveries.
        busy_channels: channels to leave out.
    """
    holder = uuid4()
    busy = list(busy_channels)
    where = DELIVERY.c.tenant == tenant
    if busy:
        where = sa.and_(where, DELIVERY.c.channel_id.not_in(busy))
    rows = DELIVERIES.claim(
        session,
        holder,
        limit=limit,
        where=where,
        order_by=[_DUE_AT],
        values={"next_attempt_at": None},
    )
    return [ClaimedDelivery(Delivery(*tuple(row)), holder) for row in rows]


def first_matches(
    session: Session, delivery_ids: Collection[UUID], limit: int
) -> dict[UUID, list[dict[str, Any]]]:
    """The first matches of some deliveries, which are those with the highest scores."""
    path = sa.cast(f"$[0 to {limit - 1}]", JSONPATH)
    first = sa.func.jsonb_path_query_array(MATCHES.c.matches, path)
    query = sa.select(MATCHES.c.id, first).where(MATCHES.c.id.in_(delivery_ids))
    return {row[0]: row[1] for row in session.execute(query)}


def complete(session: Session, claimed: ClaimedDelivery, status: int | None) -> None:
    """End a delivery that was accepted.

    Raises:
        LeaseLost: another worker has claimed it.
    """
    values = {"response_status": status}
    DELIVERIES.complete(session, claimed.holder, claimed.delivery.id, "delivered", values)


def fail(
    session: Session, claimed: ClaimedDelivery, status: int | None, error: dict[str, Any]
) -> None:
    """End a delivery that is not tried again.

    Raises:
        LeaseLost: another worker has claimed it.
    """
    values = {"response_status": status}
    DELIVERIES.fail(session, claimed.holder, claimed.delivery.id, error, values)


def retry(
    session: Session,
    claimed: ClaimedDelivery,
    status: int | None,
    error: dict[str, Any],
    seconds: float,
) -> None:
    """Let a delivery wait for its next attempt.

    Raises:
        LeaseLost: another worker has claimed it.
    """
    values = {"response_status": status}
    DELIVERIES.retry(
        session,
        claimed.holder,
        claimed.delivery.id,
        seconds=seconds,
        error=error,
        values=values,
    )


def count_due(session: Session) -> int:
    """The number of deliveries that wait for a worker."""
    return session.scalars(sa.select(sa.func.count()).where(DELIVERIES.claimable)).one()


def find(session: Session, delivery_id: UUID, *, lock: bool = False) -> Delivery | None:
    """A delivery of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(DELIVERY).where(DELIVERY.c.id == delivery_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Delivery(*row)


def all_matches(session: Session, delivery_id: UUID) -> list[dict[str, Any]]:
    """All matches of a delivery, highest scores first."""
    query = sa.select(MATCHES.c.matches).where(MATCHES.c.id == delivery_id)
    matches: list[dict[str, Any]] = session.scalars(query).one()
    return matches


def list_newest(
    session: Session, after: UUID | None, limit: int, state: str | None, rule_id: UUID | None
) -> Sequence[Delivery]:
    """Deliveries, newest first, from behind the id `after`."""
    query = sa.select(DELIVERY).order_by(DELIVERY.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(DELIVERY.c.id < after)
    if state is not None:
        query = query.where(DELIVERY.c.state == state)
    if rule_id is not None:
        query = query.where(DELIVERY.c.rule_id == rule_id)
    return [Delivery(*row) for row in session.execute(query)]


def restart(session: Session, delivery_id: UUID) -> Delivery:
    """Make a delivery due now, with all its attempts."""
    statement = (
        sa.update(DELIVERY)
        .where(DELIVERY.c.id == delivery_id)
        .values(state="pending", attempts=0, finished_at=None, next_attempt_at=sa.func.now())
        .returning(DELIVERY)
    )
    return Delivery(*session.execute(statement).one())
