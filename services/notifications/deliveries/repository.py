"""All SQL of notifications."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from services.notifications.deliveries.models import Channel, Delivery, Rule
from shared.errors import Conflict, NotFound

Row = TypeVar("Row", Channel, Rule, Delivery)
Named = TypeVar("Named", Channel, Rule)

_VERSION = sa.text("SELECT current_database(), coalesce(sum(version), 0)::bigint FROM rule_version")
_ADD = sa.text(
    "INSERT INTO delivery (id, tenant, rule_id, channel_id, rule, channel, event_id, source, matches, match_count, "
    "event_at) VALUES (:id, :tenant, :rule_id, :channel_id, :rule, :channel, :event_id, :source, "
    "CAST(:matches AS jsonb), :match_count, :event_at) ON CONFLICT (rule_id, channel_id, event_id) DO NOTHING"
)
_DUE: Final = "state IN ('pending', 'delivering') AND coalesce(lease_until, next_attempt_at) <= clock_timestamp()"
_CLAIM = sa.text(
    "WITH due AS MATERIALIZED (SELECT delivery.id, channel_id FROM delivery "  # noqa: S608  # _DUE is a constant of this module
    f"WHERE {_DUE} AND channel_id <> ALL(:busy) "
    "ORDER BY coalesce(lease_until, next_attempt_at) LIMIT :most FOR UPDATE SKIP LOCKED) "
    "UPDATE delivery SET state = 'delivering', attempts = attempts + 1, next_attempt_at = NULL, "
    "lease_until = clock_timestamp() + make_interval(secs => :lease) "
    "FROM due LEFT JOIN channel ON channel.id = due.channel_id WHERE delivery.id = due.id "
    "RETURNING delivery.id, delivery.tenant, rule_id, rule, due.channel_id, delivery.channel, source, match_count, "
    "jsonb_path_query_array(matches, '$[0 to 49]') AS matches, attempts, delivery.created_at, event_at, lease_until, "
    "kind, config, secret, enabled"
).bindparams(sa.bindparam("busy", type_=sa.ARRAY(sa.Uuid)))
_DUE_COUNT = sa.text(f"SELECT count(*) FROM delivery WHERE {_DUE}")  # noqa: S608  # a constant of this module
_RECORD = sa.text(
    "UPDATE delivery SET state = :state, lease_until = NULL, last_error = :error, response_status = :status, "
    "next_attempt_at = clock_timestamp() + make_interval(secs => CAST(:wait AS double precision)), "
    "finished_at = CASE WHEN :state IN ('delivered', 'failed') THEN clock_timestamp() END "
    "WHERE id = :id AND state = 'delivering' AND lease_until = :lease_until RETURNING id"
).bindparams(sa.bindparam("error", type_=JSONB(none_as_null=True)))


class Claimed(NamedTuple):
    """A delivery a worker has taken, with what its channel needs; without a `kind` the channel was deleted."""

    id: UUID
    tenant: str
    rule_id: UUID
    rule: str
    channel_id: UUID
    channel: str
    source: str
    match_count: int
    matches: list[dict[str, Any]]
    attempts: int
    created_at: datetime
    event_at: datetime
    lease_until: datetime
    kind: str | None
    config: dict[str, Any]
    secret: bytes | None
    enabled: bool


def rules_version(session: Session) -> tuple[str, int]:
    """A value that differs whenever rules or channels of this database were changed."""
    name, version = session.execute(_VERSION).one()
    return name, version


def enabled_rules(session: Session) -> Sequence[Rule]:
    """All tenants' rules that are switched on."""
    return session.scalars(sa.select(Rule).where(Rule.enabled).order_by(Rule.id)).all()


def enabled_channels(session: Session) -> dict[UUID, str]:
    """Names by id of all tenants' channels that are switched on."""
    return {
        row.id: row.name
        for row in session.execute(sa.select(Channel.id, Channel.name).where(Channel.enabled))
    }


def add_deliveries(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert deliveries; one for the same rule, channel and event that is there already stays as it is."""
    if rows:
        session.execute(_ADD, rows)


def claim(session: Session, most: int, busy: Iterable[UUID], lease_seconds: float) -> list[Claimed]:
    """Take what is due, oldest first, for as long as the lease lasts.

    Args:
        session: the platform's own transaction.
        most: how many at most.
        busy: channels that are left out for now.
        lease_seconds: after this time a delivery without an outcome may be taken again.
    """
    rows = session.execute(_CLAIM, {"most": most, "busy": list(busy), "lease": lease_seconds})
    return [Claimed(*row) for row in rows]


def due_count(session: Session) -> int:
    """How many deliveries wait for a worker."""
    return int(session.execute(_DUE_COUNT).scalar_one())


def record(
    session: Session,
    claimed: Claimed,
    state: str,
    *,
    status: int | None,
    error: dict[str, Any] | None,
    wait: float | None,
) -> bool:
    """Write an outcome down, unless the lease ran out and somebody else has the delivery.

    Args:
        session: the platform's own transaction.
        claimed: as it was taken.
        state: pending, delivered or failed.
        status: the receiver's status, if it gave one.
        error: what went wrong, if anything did.
        wait: seconds until the next attempt of a pending one.
    """
    values = {"id": claimed.id, "lease_until": claimed.lease_until, "state": state}
    return (
        session.execute(_RECORD, values | {"status": status, "error": error, "wait": wait}).first()
        is not None
    )


def disable_channel(session: Session, channel_id: UUID, reason: str) -> None:
    """Switch a channel off on the platform's own account."""
    session.execute(
        sa.update(Channel)
        .where(Channel.id == channel_id)
        .values(enabled=False, disabled_reason=reason, updated_at=sa.func.now())
    )


def get(session: Session, table: type[Row], row_id: UUID, *, lock: bool = False) -> Row:
    """A row of the transaction's tenant.

    Raises:
        NotFound: there is none.
    """
    row = session.get(table, row_id, options=[undefer("*")], with_for_update=lock)
    if row is None:
        raise NotFound(f"There is no {table.__tablename__} {row_id}.")
    return row


def by_name(session: Session, table: type[Named], limit: int, after: str | None) -> Sequence[Named]:
    """A page of channels or rules, by name."""
    query = sa.select(table).order_by(table.name).limit(limit)
    return session.scalars(query if after is None else query.where(table.name > after)).all()


def newest_deliveries(
    session: Session, limit: int, after: UUID | None, state: str | None, rule_id: UUID | None
) -> Sequence[Delivery]:
    """A page of the ledger, newest first."""
    query = sa.select(Delivery).order_by(Delivery.id.desc()).limit(limit)
    if after is not None:
        query = query.where(Delivery.id < after)
    if state is not None:
        query = query.where(Delivery.state == state)
    if rule_id is not None:
        query = query.where(Delivery.rule_id == rule_id)
    return session.scalars(query).all()


def save(session: Session, row: Channel | Rule) -> None:
    """Write a channel or a rule.

    Raises:
        Conflict: another one in this tenant has its name.
    """
    row.updated_at = sa.func.now()
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        kind = row.__tablename__
        raise Conflict(f"There is already a {kind} named {row.name}.", field="body.name") from error
    session.refresh(row)


def unknown_channels(session: Session, channel_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these are no channels of the tenant; those that are stay until the transaction ends."""
    query = sa.select(Channel.id).where(Channel.id.in_(channel_ids)).with_for_update(read=True)
    return set(channel_ids) - set(session.scalars(query))


def rules_using(session: Session, channel_id: UUID) -> Sequence[str]:
    """Names of the rules that notify through a channel."""
    query = (
        sa.select(Rule.name)
        .where(sa.literal(channel_id) == sa.any_(Rule.channel_ids))
        .order_by(Rule.name)
    )
    return session.scalars(query).all()


def delete(session: Session, row: Channel | Rule) -> None:
    """Delete a channel or a rule; its deliveries stay in the ledger."""
    session.delete(row)
