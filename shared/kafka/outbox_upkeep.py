"""Upkeep of an outbox: what waits, what is parked, what is sent again, what is deleted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database
from shared.settings import load_settings
from shared.telemetry.metrics import OUTBOX_AGE, OUTBOX_PARKED, OUTBOX_WAITING

_PRUNED: Final = 1_000
_STATE = sa.text(
    "SELECT count(*),"
    " coalesce(extract(epoch FROM now() - min(created_at)), 0),"
    " (SELECT count(*) FROM outbox WHERE parked_at IS NOT NULL)"
    " FROM outbox WHERE published_at IS NULL AND parked_at IS NULL"
)
_PARKED = sa.text(
    "SELECT id, topic, key, tenant, octet_length(payload), attempts, error, created_at, parked_at"
    " FROM outbox WHERE parked_at IS NOT NULL AND id > :after ORDER BY id LIMIT :limit"
)
_RETRY = sa.text(
    "UPDATE outbox SET parked_at = NULL, retry_at = NULL, attempts = 0"
    " WHERE parked_at IS NOT NULL AND id = ANY(:ids) RETURNING id"
)
_DISCARD = sa.text("DELETE FROM outbox WHERE parked_at IS NOT NULL AND id = ANY(:ids) RETURNING id")
_RESEND = sa.text(
    "UPDATE outbox SET published_at = NULL, retry_at = NULL, attempts = 0"
    " WHERE published_at >= :since AND (:all_topics OR topic = ANY(:topics))"
)
_PRUNE = sa.text(
    "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
    " WHERE published_at < now() - :keep ORDER BY published_at LIMIT :limit)"
)


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """The state of an outbox.

    Attributes:
        waiting: the events that the relay has still to publish.
        oldest_seconds: the age of the oldest of them; 0 when none waits.
        parked: the events that Kafka refuses, and that wait for an operator.
    """

    waiting: int
    oldest_seconds: float
    parked: int


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that Kafka refuses.

    Attributes:
        id: its id in the outbox.
        size: bytes of the payload.
        reason: why Kafka refused it last.
    """

    id: int
    topic: str
    key: bytes | None
    tenant: str
    size: int
    attempts: int
    reason: str
    created_at: datetime
    parked_at: datetime


def count_outbox(session: Session) -> OutboxCounts:
    """The state of the service's outbox; the transaction is the platform's."""
    waiting, seconds, parked = session.execute(_STATE).one()
    return OutboxCounts(waiting, float(seconds), parked)


def list_parked(session: Session, limit: int, after: int = 0) -> list[ParkedEvent]:
    """Parked events, those that were written first at the beginning."""
    rows = session.execute(_PARKED, {"limit": limit, "after": after})
    return [ParkedEvent(*row) for row in rows]


def retry_parked(session: Session, ids: Collection[int]) -> list[int]:
    """Let the relay try parked events again; the ids of those that were parked."""
    return list(session.scalars(_RETRY, {"ids": list(ids)}))


def discard_parked(session: Session, ids: Collection[int]) -> list[int]:
    """Delete parked events, which are then never published; the ids of those that were parked."""
    return list(session.scalars(_DISCARD, {"ids": list(ids)}))


def resend(session: Session, since: datetime, topics: Sequence[str] = ()) -> int:
    """Let the relay publish again what it has published since a time, in the same order.

    Events keep their ids, so that receivers which have seen them drop them. What was deleted after
    `SENTINELIQ_OUTBOX_KEEP_HOURS` is not sent again.

    Args:
        session: a transaction of the platform.
        since: the time of the first acknowledgement that is in doubt.
        topics: of these topics only; of all topics if there are none.

    Returns:
        The number of events.
    """
    values = {"since": since, "all_topics": not topics, "topics": list(topics)}
    return int(session.execute(_RESEND, values).rowcount)  # type: ignore[attr-defined]


def prune_outbox(database: Database) -> int:
    """Delete what was published longer ago than it is kept, and measure what is left.

    Returns:
        The number of events that were deleted.
    """
    keep = timedelta(hours=load_settings().outbox_keep_hours)
    deleted = 0
    is_more = True
    while is_more:
        with database.transaction(PLATFORM) as session:
            result = session.execute(_PRUNE, {"keep": keep, "limit": _PRUNED})
            count: int = result.rowcount  # type: ignore[attr-defined]
        deleted += count
        is_more = count == _PRUNED
    with database.transaction(PLATFORM) as session:
        state = count_outbox(session)
    OUTBOX_WAITING.labels(database.service).set(state.waiting)
    OUTBOX_AGE.labels(database.service).set(state.oldest_seconds)
    OUTBOX_PARKED.labels(database.service).set(state.parked)
    return deleted
