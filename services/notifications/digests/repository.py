"""SQL of digests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.notifications.digests.models import DIGEST
from shared.errors import Conflict

_NOW: Final = sa.func.clock_timestamp()
# Rules stand on digests: this room reads their table itself rather than import their room.
_RULES_OF: Final = sa.text(
    "SELECT name FROM rule WHERE digest_id = :digest_id ORDER BY name LIMIT 5"
)


@dataclass(frozen=True, slots=True)
class Digest:
    """A stored digest.

    Attributes:
        next_due_at: when it is told next.
        last_due_at: for which due time it was told last; None before the first.
    """

    id: UUID
    tenant: str
    name: str
    cron: str
    timezone: str
    channel_ids: list[UUID]
    enabled: bool
    next_due_at: datetime
    last_due_at: datetime | None
    created_at: datetime
    updated_at: datetime


def database_time(session: Session) -> datetime:
    """The time of the database."""
    now: datetime = session.scalars(sa.select(_NOW)).one()
    return now


def take_due(session: Session, passed_over: Sequence[UUID]) -> tuple[datetime, Digest] | None:
    """The digest that is due the longest, for the caller alone, and the database's time."""
    query = (
        sa.select(_NOW, DIGEST)
        .where(DIGEST.c.enabled, DIGEST.c.next_due_at <= _NOW, DIGEST.c.id.not_in(passed_over))
        .order_by(DIGEST.c.next_due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else (row[0], Digest(*row[1:]))


def find(session: Session, digest_id: UUID, *, lock: bool = False) -> Digest | None:
    """A digest of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(DIGEST).where(DIGEST.c.id == digest_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Digest(*row)


def list_by_name(session: Session, after: tuple[str, UUID] | None, limit: int) -> list[Digest]:
    """Digests by name, from behind the name and id `after`."""
    query = sa.select(DIGEST).order_by(DIGEST.c.name, DIGEST.c.id).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(DIGEST.c.name, DIGEST.c.id) > sa.tuple_(*after))
    return [Digest(*row) for row in session.execute(query)]


def insert(session: Session, values: Mapping[str, Any]) -> Digest:
    """Store a new digest.

    Raises:
        Conflict: the tenant has a digest of that name.
    """
    return _write(session, sa.insert(DIGEST).values(**values), values.get("name", ""))


def update(session: Session, digest_id: UUID, values: Mapping[str, Any]) -> Digest:
    """Change a digest.

    Raises:
        Conflict: the tenant has another digest of that name.
    """
    statement = sa.update(DIGEST).where(DIGEST.c.id == digest_id)
    return _write(session, statement.values(**values), values.get("name", ""))


def _write(session: Session, statement: sa.Insert | sa.Update, name: str) -> Digest:
    try:
        return Digest(*session.execute(statement.returning(DIGEST)).one())
    except IntegrityError as error:
        raise Conflict(f"There is already a digest named {name}.", field="name") from error


def delete(session: Session, digest_id: UUID) -> None:
    """Delete a digest; its deliveries stay."""
    session.execute(sa.delete(DIGEST).where(DIGEST.c.id == digest_id))


def rules_of(session: Session, digest_id: UUID) -> list[str]:
    """The names of rules that wait for a digest, five at most."""
    return list(session.scalars(_RULES_OF, {"digest_id": digest_id}))
