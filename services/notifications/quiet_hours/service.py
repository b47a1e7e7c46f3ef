"""Quiet hours: set and remove them for the API, ask for their end for deliveries."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.channels.service import keep_channel
from services.notifications.quiet_hours import repository
from services.notifications.quiet_hours.periods import quiet_until
from services.notifications.quiet_hours.repository import StoredQuietHours
from services.notifications.quiet_hours.schemas import (
    PeriodBody,
    QuietHoursBody,
    QuietHoursView,
)
from shared.audit import changes_between
from shared.auth import Principal
from shared.cron import time_zone
from shared.database import Database
from shared.errors import NotFound
from shared.kafka.outbox import audit

_AUDITED = ("timezone", "periods", "passing")


@dataclass(frozen=True, slots=True)
class Quiet:
    """Quiet hours that hold now.

    Attributes:
        until: their end.
        passing: severities that do not wait.
    """

    until: datetime
    passing: frozenset[str]


def quiet_channels(session: Session, channel_ids: Collection[UUID]) -> dict[UUID, Quiet]:
    """Those of some channels whose quiet hours hold now, by the database's clock."""
    quiet = {}
    for now, stored in repository.find_with_time(session, channel_ids):
        periods = [PeriodBody.model_validate(each).period() for each in stored.periods]
        until = quiet_until(periods, time_zone(stored.timezone), now)
        if until is not None:
            quiet[stored.channel_id] = Quiet(until, frozenset(stored.passing))
    return quiet


def get_quiet_hours(database: Database, principal: Principal, channel_id: UUID) -> QuietHoursView:
    """The quiet hours of a channel.

    Raises:
        NotFound: it has none, or the tenant has no such channel.
    """
    with database.transaction(principal.tenant) as session:
        return QuietHoursView.model_validate(_get(session, channel_id))


def set_quiet_hours(
    database: Database, principal: Principal, channel_id: UUID, body: QuietHoursBody
) -> QuietHoursView:
    """Set the quiet hours of a channel. They hold for what is notified from now on.

    Raises:
        NotFound: the tenant has no such channel.
        InvalidInput: there is no such time zone.
    """
    time_zone(body.timezone)
    values = body.model_dump(mode="json")
    with database.transaction(principal.tenant) as session:
        keep_channel(session, channel_id)
        before = repository.find(session, channel_id)
        stored = repository.put(
            session, {"channel_id": channel_id, "tenant": principal.tenant, **values}
        )
        _audit(session, principal, "set", channel_id, before, stored)
    return QuietHoursView.model_validate(stored)


def delete_quiet_hours(database: Database, principal: Principal, channel_id: UUID) -> None:
    """Remove the quiet hours of a channel. What is held now stays so until their end.

    Raises:
        NotFound: it has none, or the tenant has no such channel.
    """
    with database.transaction(principal.tenant) as session:
        before = _get(session, channel_id)
        repository.delete(session, channel_id)
        _audit(session, principal, "delete", channel_id, before, None)


def _get(session: Session, channel_id: UUID) -> StoredQuietHours:
    stored = repository.find(session, channel_id)
    if stored is None:
        raise NotFound(f"The channel {channel_id} has no quiet hours.")
    return stored


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    channel_id: UUID,
    before: StoredQuietHours | None,
    after: StoredQuietHours | None,
) -> None:
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.quiet_hours.{verb}",
        channel_id,
        changes_between(_audited(before), _audited(after)),
    )


def _audited(stored: StoredQuietHours | None) -> dict[str, Any]:
    return {} if stored is None else {name: getattr(stored, name) for name in _AUDITED}
