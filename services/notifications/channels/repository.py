"""SQL of channels."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.notifications.channels.models import CHANNEL
from shared.crypto import places_of
from shared.errors import Conflict
from shared.http.guard import origin_of
from shared.sealed_rows import SealedColumn

# Rules and digests stand on channels: this room reads their tables rather than import their rooms.
_NAMES_USING = sa.text(
    "SELECT name FROM rule WHERE :channel_id = ANY (channel_ids)"
    " OR escalation @> jsonb_build_array(jsonb_build_object('channel_ids',"
    " jsonb_build_array(CAST(:channel_id AS text))))"
    " UNION ALL SELECT name FROM digest WHERE :channel_id = ANY (channel_ids) ORDER BY name"
)


def _places(row: sa.Row[Any]) -> tuple[str, str]:
    return places_of(str(row.id), receiver_of(row.config))


CHANNEL_SECRET: Final = SealedColumn(CHANNEL, "secret", ("id",), _places)


def receiver_of(config: Mapping[str, Any]) -> str:
    """The receiver that a channel's secret is for: the origin of its address, or its host."""
    url = config.get("url")
    if isinstance(url, str):
        return origin_of(url)
    host = config.get("host")
    return f"{host}:{config.get('port')}".lower() if isinstance(host, str) else ""


@dataclass(frozen=True, slots=True)
class Channel:
    """A stored channel.

    Attributes:
        config: as the kind's model validated it; without secrets.
        secret: the sealed signing secret, for channel types that sign.
        disabled_reason: why the platform switched it off; None if a user did.
        max_tlp: the strictest marking of what it tells, a level of TLP.
    """

    id: UUID
    tenant: str
    name: str
    kind: str
    config: dict[str, Any]
    secret: bytes | None = field(repr=False)
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime
    max_tlp: str


def find(session: Session, channel_id: UUID, *, lock: bool = False) -> Channel | None:
    """A channel of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(CHANNEL).where(CHANNEL.c.id == channel_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Channel(*row)


def find_many(session: Session, channel_ids: Collection[UUID]) -> dict[UUID, Channel]:
    """Those of some channels that exist, by their ids."""
    query = sa.select(CHANNEL).where(CHANNEL.c.id.in_(channel_ids))
    return {row.id: Channel(*row) for row in session.execute(query)}


def list_configs(session: Session, tenant: str) -> dict[UUID, dict[str, Any]]:
    """The configurations of a tenant's channels, by their ids."""
    query = sa.select(CHANNEL.c.id, CHANNEL.c.config).where(CHANNEL.c.tenant == tenant)
    return {row.id: row.config for row in session.execute(query)}


def list_by_name(session: Session, after: tuple[str, UUID] | None, limit: int) -> Sequence[Channel]:
    """Channels by name, from behind the name and id `after`."""
    query = sa.select(CHANNEL).order_by(CHANNEL.c.name, CHANNEL.c.id).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(CHANNEL.c.name, CHANNEL.c.id) > sa.tuple_(*after))
    return [Channel(*row) for row in session.execute(query)]


def enabled_names(session: Session) -> dict[UUID, str]:
    """The names, by id, of all enabled channels."""
    query = sa.select(CHANNEL.c.id, CHANNEL.c.name).where(CHANNEL.c.enabled)
    return {row.id: row.name for row in session.execute(query)}


def list_off(session: Session, tenant: str) -> set[UUID]:
    """A tenant's channels that are switched off."""
    query = sa.select(CHANNEL.c.id).where(CHANNEL.c.tenant == tenant, CHANNEL.c.enabled.is_(False))
    return set(session.scalars(query))


def lock_existing(session: Session, channel_ids: Collection[UUID]) -> set[UUID]:
    """Those of some channels that the tenant has; they cannot be deleted until the end."""
    query = sa.select(CHANNEL.c.id).where(CHANNEL.c.id.in_(channel_ids))
    return set(session.scalars(query.with_for_update(read=True)))


def names_of_users(session: Session, channel_id: UUID) -> Sequence[str]:
    """The names of the rules and digests that notify through a channel."""
    return session.scalars(_NAMES_USING, {"channel_id": channel_id}).all()


def insert(session: Session, values: Mapping[str, Any]) -> Channel:
    """Store a new channel.

    Raises:
        Conflict: the tenant has a channel of that name.
    """
    return _write(session, sa.insert(CHANNEL).values(**values), values["name"])


def update(session: Session, channel: Channel, values: Mapping[str, Any]) -> Channel:
    """Change a channel.

    Raises:
        Conflict: the tenant has another channel of that name.
    """
    statement = sa.update(CHANNEL).where(CHANNEL.c.id == channel.id)
    changes = {**values, "updated_at": sa.func.now()}
    return _write(session, statement.values(**changes), values.get("name", channel.name))


def _write(session: Session, statement: sa.Insert | sa.Update, name: str) -> Channel:
    try:
        return Channel(*session.execute(statement.returning(CHANNEL)).one())
    except IntegrityError as error:
        raise Conflict(f"There is already a channel named {name}.", field="name") from error


def disable(session: Session, channel_id: UUID, reason: str) -> None:
    """Switch a channel off on behalf of the platform."""
    session.execute(
        sa.update(CHANNEL)
        .where(CHANNEL.c.id == channel_id)
        .values(enabled=False, disabled_reason=reason, updated_at=sa.func.now())
    )


def delete(session: Session, channel: Channel) -> None:
    """Delete a channel; its deliveries stay."""
    session.execute(sa.delete(CHANNEL).where(CHANNEL.c.id == channel.id))
