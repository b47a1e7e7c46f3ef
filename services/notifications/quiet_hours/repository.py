"""SQL of quiet hours."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.notifications.quiet_hours.models import QUIET_HOURS


@dataclass(frozen=True, slots=True)
class StoredQuietHours:
    """The quiet hours of a channel.

    Attributes:
        periods: as the API has them.
        passing: severities that do not wait.
    """

    channel_id: UUID
    tenant: str
    timezone: str
    periods: list[dict[str, Any]]
    passing: list[str]
    created_at: datetime
    updated_at: datetime


def find(session: Session, channel_id: UUID) -> StoredQuietHours | None:
    """The quiet hours of a channel of the transaction's tenant."""
    query = sa.select(QUIET_HOURS).where(QUIET_HOURS.c.channel_id == channel_id)
    row = session.execute(query).one_or_none()
    return None if row is None else StoredQuietHours(*row)


def find_with_time(
    session: Session, channel_ids: Collection[UUID]
) -> list[tuple[datetime, StoredQuietHours]]:
    """The quiet hours of some channels, each with the database's time."""
    query = sa.select(sa.func.clock_timestamp(), QUIET_HOURS).where(
        QUIET_HOURS.c.channel_id.in_(channel_ids)
    )
    return [(row[0], StoredQuietHours(*row[1:])) for row in session.execute(query)]


def put(session: Session, values: Mapping[str, Any]) -> StoredQuietHours:
    """Store the quiet hours of a channel, instead of those before."""
    changes = {name: values[name] for name in ("timezone", "periods", "passing")}
    statement = (
        insert(QUIET_HOURS)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["channel_id"], set_={**changes, "updated_at": sa.func.now()}
        )
        .returning(QUIET_HOURS)
    )
    return StoredQuietHours(*session.execute(statement).one())


def delete(session: Session, channel_id: UUID) -> None:
    """Delete the quiet hours of a channel."""
    session.execute(sa.delete(QUIET_HOURS).where(QUIET_HOURS.c.channel_id == channel_id))
