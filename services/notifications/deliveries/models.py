"""Tables of notifications. Unlike elsewhere, not even the tenant `public` shows its rows to others."""

import secrets
import time
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def new_id() -> UUID:
    """A UUID that sorts by the time it was made (version 7, RFC 9562 §5.7)."""
    stamp = time.time_ns() // 1_000_000
    return UUID(
        int=stamp << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    )


class Base(DeclarativeBase):
    """Root of the tables; the schema is the transaction's."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text,
        list[str]: ARRAY(Text),
        dict[str, Any]: JSONB,
    }


class Channel(Base):
    """Where notifications go: a kind of channel and its configuration.

    Attributes:
        config: as the kind's model validated it; no secrets.
        secret: sealed signing secret, for kinds that sign.
        disabled_reason: why the platform itself switched it off.
    """

    __tablename__ = "channel"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    config: Mapped[dict[str, Any]]
    secret: Mapped[bytes | None] = mapped_column(deferred=True)
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Rule(Base):
    """Which changes are worth a notification, and where it goes; an empty list of conditions means any."""

    __tablename__ = "rule"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant: Mapped[str]
    name: Mapped[str]
    enabled: Mapped[bool]
    on: Mapped[list[str]] = mapped_column("kinds")
    types: Mapped[list[str]]
    min_score: Mapped[int | None]
    sources: Mapped[list[str]]
    tags: Mapped[list[str]]
    channel_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Delivery(Base):
    """One notification of one rule about one event to one channel: the row is the truth, the queue a hint.

    Attributes:
        rule, channel: names as they were, for readers of the ledger after a deletion.
        matches: all matched changes.
        event_at: when the change was published.
        lease_until: until then a worker has it; also its proof that it still has it.
        finished_at: when it was delivered or failed for good.
    """

    __tablename__ = "delivery"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    rule_id: Mapped[UUID]
    channel_id: Mapped[UUID]
    rule: Mapped[str]
    channel: Mapped[str]
    event_id: Mapped[str]
    source: Mapped[str]
    state: Mapped[str]
    matches: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, deferred=True)
    match_count: Mapped[int]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    last_error: Mapped[dict[str, Any] | None]
    response_status: Mapped[int | None]
    event_at: Mapped[datetime]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
