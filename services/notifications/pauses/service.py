"""Pauses of failing channels, for the dispatcher within its transactions."""

from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.notifications.pauses import repository
from services.notifications.pauses.probing import FAILURES, seconds_to_probe
from shared.errors import SentinelIQError
from shared.telemetry.logging import get_logger

log = get_logger(__name__)


def note_failures(
    session: Session, tenant: str, channel_id: UUID, count: int, error: SentinelIQError
) -> None:
    """Count failed attempts; after a few in a row the channel is paused."""
    encoded = msgspec.json.encode(error.as_dict()).decode()
    row = repository.note_failures(session, tenant, channel_id, count, encoded)
    if row.is_probe:
        repository.pause(session, channel_id, row.probes + 1, seconds_to_probe(row.probes + 1))
    elif not row.is_paused and row.failures >= FAILURES:
        repository.pause(session, channel_id, 0, seconds_to_probe(0))
        log.warning("channel.paused", id=str(channel_id), failures=row.failures)


def note_successes(session: Session, channel_ids: list[UUID]) -> None:
    """Forget the failures of channels that work."""
    for channel_id in repository.clear(session, channel_ids):
        log.info("channel.resumed", id=str(channel_id))


def forget_channel(session: Session, channel_id: UUID) -> None:
    """Forget the failures of a channel that is deleted."""
    repository.clear(session, [channel_id])


def paused_channels(session: Session, tenant: str) -> set[UUID]:
    """A tenant's channels that are left alone now."""
    return repository.paused_channels(session, tenant)


def take_probes(session: Session, tenant: str) -> list[UUID]:
    """Paused channels that the caller may try with one delivery each."""
    return repository.take_probes(session, tenant)
