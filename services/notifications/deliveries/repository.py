"""SQL of deliveries."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.notifications.deliveries.models import DELIVERY, DELIVERY_ATTEMPT, MATCHES
from services.notifications.deliveries.records import (
    ClaimedDelivery,
    Delivery,
    DeliveryOutcome,
    NewDelivery,
)
from shared.leases import LeasedTable

DELIVERIES: Final = LeasedTable(
    DELIVERY, lease=timedelta(seconds=60), waiting="pending", running="delivering"
)
"""A lease lasts for four attempts, and is never renewed."""

CHANNEL: Final = "notifications_delivery"
_ANNOUNCE = sa.text(f"SELECT pg_notify('{CHANNEL}', '')")
_ADD = sa.text(
    "INSERT INTO delivery (id, tenant, rule_id, channel_id, rule, channel, event_id, source,"
    " matches, match_count, event_at, group_id, window_number, kind, total_count, severity,"
    " labels, reason, due_at, state, held_until, held_by, replay_of)"
    " VALUES (:id, :tenant, :rule_id, :channel_id, :rule, :channel, :event_id, :source,"
    " CAST(:matches AS jsonb), :match_count, :event_at, :group_id, :window_number, :kind,"
    " :total_count, :severity, CAST(:labels AS jsonb), :reason, :due_at, :state, :held_until,"
    " :held_by, :replay_of)"
    " ON CONFLICT (rule_id, channel_id, event_id) DO NOTHING"
)
_RELEASE = sa.text(
    "UPDATE delivery SET matches = CAST(:matches AS jsonb), match_count = :match_count,"
    " total_count = :total_count, reason = :reason, state = :state, held_until = :held_until,"
    " held_by = coalesce(:held_by, held_by), next_attempt_at = now()"
    " WHERE id = :id AND state = 'held'"
)
# Of a channel's receiver, a rule at a time. Who comes second sees rows that are held no more.
_QUIET_OVER = sa.text(
    "SELECT tenant, rule_id, channel_id FROM delivery"
    " WHERE state = 'held' AND held_by = :held_by AND held_until <= clock_timestamp()"
    " GROUP BY tenant, rule_id, channel_id ORDER BY min(held_until) LIMIT :most"
)
_SUM_UP = sa.text(
    "UPDATE delivery SET state = 'silenced', summary_id = :summary_id, finished_at = now()"
    " WHERE id = ANY(:ids)"
)
_SEND_HELD = sa.text(
    "UPDATE delivery SET state = 'pending', next_attempt_at = now(),"
    " reason = coalesce(reason, :reason) WHERE id = :id"
)
_REPLAY = sa.text(
    "INSERT INTO delivery (id, tenant, rule_id, channel_id, rule, channel, event_id, source,"
    " matches, match_count, event_at, group_id, window_number, kind, total_count, severity,"
    " labels, reason, due_at, replay_of)"
    " SELECT :id, tenant, rule_id, coalesce(CAST(:channel_id AS uuid), channel_id), rule,"
    " coalesce(CAST(:channel AS text), channel), :event_id, source, matches, match_count, event_at,"
    " group_id, window_number, kind, total_count, severity, labels, reason, due_at, id"
    " FROM delivery WHERE id = :original"
)
# As `LeasedTable.complete`, for many at once.
_COMPLETE = sa.text(
    "UPDATE delivery SET state = 'delivered', holder = NULL, lease_until = NULL,"
    " finished_at = now(), error = NULL, response_status = result.status,"
    " receipt = result.receipt, is_outcome_unknown = false,"
    " is_maybe_repeated = delivery.is_maybe_repeated OR result.is_maybe_repeated"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:holders AS uuid[]), CAST(:statuses AS smallint[]),"
    " CAST(:receipts AS text[]), CAST(:repeated AS boolean[]))"
    " AS result (id, holder, status, receipt, is_maybe_repeated)"
    " WHERE delivery.id = result.id AND delivery.holder = result.holder"
    " AND delivery.state = 'delivering' RETURNING delivery.id"
)
# The expression of the index `delivery_due`, so that a claim reads only the rows that it takes.
_DUE_AT = sa.func.coalesce(DELIVERY.c.lease_until, DELIVERY.c.next_attempt_at)
_EARLIER = DELIVERY.alias("earlier")
_GROUP = sa.cast(DELIVERY.c.group_id, sa.Text)
# A message about a group waits for the one before it, and for the opening.
_IS_NEXT = sa.or_(
    DELIVERY.c.kind.not_in(["update", "close", "reminder"]),
    sa.not_(
        sa.exists().where(
            _EARLIER.c.rule_id == DELIVERY.c.rule_id,
            _EARLIER.c.channel_id == DELIVERY.c.channel_id,
            _EARLIER.c.event_id.in_(
                [
                    _GROUP + ".0",
                    _GROUP + "." + sa.cast(DELIVERY.c.window_number - 1, sa.Text),
                ]
            ),
            _EARLIER.c.state.in_(["pending", "delivering", "held"]),
        )
    ),
)


def announce(session: Session) -> None:
    """Tell those who listen to `CHANNEL` that deliveries are stored, if the transaction commits."""
    session.execute(_ANNOUNCE)


def add(session: Session, deliveries: Sequence[NewDelivery]) -> None:
    """Store deliveries; a repeated one for the same rule, channel and event changes nothing."""
    session.execute(_ADD, deliveries)


def release(session: Session, deliveries: Sequence[NewDelivery]) -> None:
    """Let held deliveries go, with what they tell now; those that are held no more stay."""
    session.execute(_RELEASE, deliveries)


def ended_quiet_hours(
    session: Session, held_by: str, most: int
) -> Sequence[tuple[str, UUID, UUID]]:
    """Tenant, rule and channel of deliveries whose quiet hours are over."""
    rows = session.execute(_QUIET_OVER, {"held_by": held_by, "most": most})
    return [(row.tenant, row.rule_id, row.channel_id) for row in rows]


def lock_held(
    session: Session, rule_id: UUID, channel_id: UUID, held_by: str
) -> list[tuple[Delivery, list[dict[str, Any]]]]:
    """The deliveries of a rule to a channel whose quiet hours are over, with their matches."""
    query = (
        sa.select(DELIVERY, sa.literal_column("delivery.matches", pg.JSONB))
        .where(
            DELIVERY.c.rule_id == rule_id,
            DELIVERY.c.channel_id == channel_id,
            DELIVERY.c.state == "held",
            DELIVERY.c.held_by == held_by,
            DELIVERY.c.held_until <= sa.func.clock_timestamp(),
        )
        .order_by(DELIVERY.c.id)
        .with_for_update()
    )
    return [(Delivery(*row[:-1]), row[-1]) for row in session.execute(query)]


def send_held(session: Session, delivery_id: UUID, reason: str) -> None:
    """Make a held delivery due now."""
    session.execute(_SEND_HELD, {"id": delivery_id, "reason": reason})


def sum_up(session: Session, delivery_ids: Sequence[UUID], summary_id: UUID) -> None:
    """End held deliveries, because another one tells of them."""
    session.execute(_SUM_UP, {"ids": list(delivery_ids), "summary_id": summary_id})


def waiting_tenants(session: Session) -> list[str]:
    """The tenants that have deliveries to claim."""
    return DELIVERIES.waiting_tenants(session)


def claim(
    session: Session,
    tenant: str,
    limit: int,
    busy_channels: Iterable[UUID],
    only_channel: UUID | None = None,
) -> list[ClaimedDelivery]:
    """Claim deliveries of a tenant that are due, those that are due the longest first.

    What goes on about a group is left until the message before it has ended.

    Args:
        session: the platform's own transaction.
        tenant: whose.
        limit: most deliveries.
        busy_channels: channels to leave out.
        only_channel: the one channel to claim for; any other one when None.
    """
    holder = uuid4()
    busy = list(busy_channels)
    where = sa.and_(DELIVERY.c.tenant == tenant, _IS_NEXT)
    if busy:
        where = sa.and_(where, DELIVERY.c.channel_id.not_in(busy))
    if only_channel is not None:
        where = sa.and_(where, DELIVERY.c.channel_id == only_channel)
    rows = DELIVERIES.claim(
        session,
        holder,
        limit=limit,
        where=where,
        order_by=[_DUE_AT],
        values={
            "next_attempt_at": None,
            # Whoever had it and was lost may have sent it.
            "is_outcome_unknown": sa.or_(
                DELIVERY.c.is_outcome_unknown, DELIVERY.c.state == "delivering"
            ),
        },
    )
    return [ClaimedDelivery(Delivery(*tuple(row)), holder) for row in rows]


def first_matches(
    session: Session, delivery_ids: Collection[UUID], limit: int
) -> dict[UUID, list[dict[str, Any]]]:
    """The first matches of some deliveries, which are those with the highest scores."""
    path = sa.cast(f"$[0 to {limit - 1}]", pg.JSONPATH)
    first = sa.func.jsonb_path_query_array(MATCHES.c.matches, path)
    query = sa.select(MATCHES.c.id, first).where(MATCHES.c.id.in_(delivery_ids))
    return {row[0]: row[1] for row in session.execute(query)}


def complete_all(
    session: Session, accepted: Sequence[tuple[ClaimedDelivery, DeliveryOutcome]]
) -> set[UUID]:
    """End deliveries that were accepted; the ids of those that no other worker has claimed."""
    values = {
        "ids": [claimed.delivery.id for claimed, _ in accepted],
        "holders": [claimed.holder for claimed, _ in accepted],
        "statuses": [outcome.status for _, outcome in accepted],
        "receipts": [outcome.receipt for _, outcome in accepted],
        "repeated": [outcome.is_maybe_repeated for _, outcome in accepted],
    }
    return set(session.scalars(_COMPLETE, values))


def fail(
    session: Session, claimed: ClaimedDelivery, error: dict[str, Any], outcome: DeliveryOutcome
) -> None:
    """End a delivery that is not tried again.

    Raises:
        LeaseLost: another worker has claimed it.
    """
    DELIVERIES.fail(session, claimed.holder, claimed.delivery.id, error, _written(outcome))


def retry(
    session: Session,
    claimed: ClaimedDelivery,
    error: dict[str, Any],
    seconds: float,
    outcome: DeliveryOutcome,
) -> None:
    """Let a delivery wait for its next attempt.

    Raises:
        LeaseLost: another worker has claimed it.
    """
    DELIVERIES.retry(
        session,
        claimed.holder,
        claimed.delivery.id,
        seconds=seconds,
        error=error,
        values=_written(outcome),
    )


def _written(outcome: DeliveryOutcome) -> dict[str, Any]:
    return {
        "response_status": outcome.status,
        "is_outcome_unknown": outcome.is_unknown,
        "is_maybe_repeated": sa.or_(
            DELIVERY.c.is_maybe_repeated, sa.literal(outcome.is_maybe_repeated)
        ),
    }


def add_attempts(session: Session, attempts: Sequence[dict[str, Any]]) -> None:
    """Note attempts; columns by name."""
    if attempts:
        session.execute(sa.insert(DELIVERY_ATTEMPT), attempts)


def list_attempts(session: Session, delivery_id: UUID) -> Sequence[sa.RowMapping]:
    """The attempts of a delivery, the first one first."""
    query = (
        sa.select(DELIVERY_ATTEMPT)
        .where(DELIVERY_ATTEMPT.c.delivery_id == delivery_id)
        .order_by(DELIVERY_ATTEMPT.c.id)
        .limit(200)
    )
    return session.execute(query).mappings().all()


def opening_receipts(
    session: Session, deliveries: Sequence[Delivery]
) -> dict[tuple[UUID | None, UUID], str]:
    """What channels answered to the messages that opened groups, by group and channel."""
    keys = [
        (each.rule_id, each.channel_id, f"{each.group_id}.0")
        for each in deliveries
        if each.group_id is not None and each.window_number > 0
    ]
    if not keys:
        return {}
    columns = sa.tuple_(DELIVERY.c.rule_id, DELIVERY.c.channel_id, DELIVERY.c.event_id)
    query = sa.select(DELIVERY.c.group_id, DELIVERY.c.channel_id, DELIVERY.c.receipt).where(
        columns.in_(keys), DELIVERY.c.receipt.is_not(None)
    )
    return {(row.group_id, row.channel_id): row.receipt for row in session.execute(query)}


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


def list_ended(
    session: Session,
    since: datetime,
    until: datetime,
    narrower: Mapping[str, Any],
    limit: int,
) -> list[UUID]:
    """Deliveries of the tenant that were created in a time and have ended, oldest first.

    `narrower` names columns and the values that they must have.
    """
    query = (
        sa.select(DELIVERY.c.id)
        .where(
            DELIVERY.c.created_at >= since,
            DELIVERY.c.created_at < until,
            DELIVERY.c.state.in_(["delivered", "failed"]),
            DELIVERY.c.replay_of.is_(None),
            *[DELIVERY.c[name] == value for name, value in narrower.items()],
        )
        .order_by(DELIVERY.c.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def replay(session: Session, replays: Sequence[Mapping[str, Any]]) -> None:
    """Store deliveries that repeat others: each with `id`, `original`, and its channel."""
    session.execute(_REPLAY, replays)
