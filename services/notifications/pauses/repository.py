"""SQL of pauses."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.notifications.pauses.models import CHANNEL_HEALTH

_NOTE: Final = sa.text(
    "INSERT INTO channel_health AS old (channel_id, tenant, failures, failing_since, error)"
    " VALUES (:channel_id, :tenant, :count, now(), CAST(:error AS jsonb))"
    " ON CONFLICT (channel_id) DO UPDATE SET failures = old.failures + :count,"
    " failing_since = coalesce(old.failing_since, now()), error = CAST(:error AS jsonb)"
    " RETURNING failures, paused_at IS NOT NULL AS is_paused, probes,"
    # Attempts that began before the pause, and last 15 s at most, are no probes.
    " coalesce(paused_at < now() - interval '20 seconds', false) AS is_probe"
)
_PAUSE: Final = sa.text(
    "UPDATE channel_health SET paused_at = coalesce(paused_at, now()), probes = :probes,"
    " probe_at = now() + make_interval(secs => :seconds) WHERE channel_id = :channel_id"
)
# Whoever moves the time of the probe makes it: others see that it is not due any more.
_TAKE_PROBES: Final = sa.text(
    "UPDATE channel_health SET probe_at = now() + interval '60 seconds'"
    " WHERE channel_id IN (SELECT channel_id FROM channel_health"
    " WHERE tenant = :tenant AND paused_at IS NOT NULL AND probe_at <= now()"
    " ORDER BY probe_at LIMIT 10 FOR UPDATE SKIP LOCKED) RETURNING channel_id"
)


def note_failures(
    session: Session, tenant: str, channel_id: UUID, count: int, error: str
) -> sa.Row[Any]:
    """Count failed attempts; how many there are in a row, and whether the channel is paused."""
    values = {"channel_id": channel_id, "tenant": tenant, "count": count, "error": error}
    return session.execute(_NOTE, values).one()


def pause(session: Session, channel_id: UUID, probes: int, seconds: float) -> None:
    """Pause a channel until its next probe, in so many seconds."""
    values = {"channel_id": channel_id, "probes": probes, "seconds": seconds}
    session.execute(_PAUSE, values)


def clear(session: Session, channel_ids: list[UUID]) -> list[UUID]:
    """Forget the failures of channels that work; those that were paused."""
    statement = (
        sa.delete(CHANNEL_HEALTH)
        .where(CHANNEL_HEALTH.c.channel_id.in_(channel_ids))
        .returning(CHANNEL_HEALTH.c.channel_id, CHANNEL_HEALTH.c.paused_at)
    )
    return [row.channel_id for row in session.execute(statement) if row.paused_at]


def paused_channels(session: Session, tenant: str) -> set[UUID]:
    """A tenant's paused channels."""
    query = sa.select(CHANNEL_HEALTH.c.channel_id).where(
        CHANNEL_HEALTH.c.tenant == tenant, CHANNEL_HEALTH.c.paused_at.is_not(None)
    )
    return set(session.scalars(query))


def take_probes(session: Session, tenant: str) -> list[UUID]:
    """The tenant's paused channels whose probe is due, for the caller alone to try."""
    return list(session.scalars(_TAKE_PROBES, {"tenant": tenant}))


def find(session: Session, channel_id: UUID) -> Mapping[str, Any] | None:
    """The failures of a channel of the transaction's tenant."""
    query = sa.select(CHANNEL_HEALTH).where(CHANNEL_HEALTH.c.channel_id == channel_id)
    row = session.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def list_paused(session: Session, limit: int) -> list[Mapping[str, Any]]:
    """The paused channels of the transaction's tenant, those first that fail the longest."""
    query = (
        sa.select(CHANNEL_HEALTH)
        .where(CHANNEL_HEALTH.c.paused_at.is_not(None))
        .order_by(CHANNEL_HEALTH.c.failing_since)
        .limit(limit)
    )
    return [dict(row) for row in session.execute(query).mappings()]
