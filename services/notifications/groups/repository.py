"""SQL of groups."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.notifications.groups.engine import GATHERING
from services.notifications.groups.models import GROUP_BATCH, MATCH_GROUP

_RESERVE: Final = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended('match_group ' || :rule, 0))"
)
_NOW: Final = sa.func.clock_timestamp()
_IS_OPEN: Final = MATCH_GROUP.c.closed_at.is_(None)


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A stored group; see `OpenGroup`.

    Attributes:
        close_reason: why it was closed.
        closing_reason: why it will be, with the end of its window.
        escalation: the steps, with the ids of their channels.
        escalation_step: the number of steps that were taken.
        escalates_at: when the next one is due.
    """

    id: UUID
    tenant: str
    rule_id: UUID
    rule: str
    key: str
    labels: dict[str, str]
    subject: str | None
    severity: str
    channel_ids: list[UUID]
    update_seconds: int
    silence_id: UUID | None
    digest_id: UUID | None
    window_number: int
    window_ends_at: datetime
    match_count: int
    last_match_at: datetime | None
    opened_at: datetime
    created_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    closing_reason: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    escalation: list[dict[str, Any]]
    escalation_step: int
    escalates_at: datetime | None

    @property
    def state(self) -> str:
        """open, held by a silence, collecting for a digest, or closed."""
        if self.closed_at is not None:
            return "closed"
        if self.silence_id is not None:
            return "held"
        return "collecting" if self.digest_id is not None else "open"


def database_time(session: Session) -> datetime:
    """The time of the database."""
    now: datetime = session.scalars(sa.select(_NOW)).one()
    return now


def lock_open(session: Session, rule_id: UUID, keys: Collection[str]) -> list[StoredGroup]:
    """The open groups of a rule by some keys; nobody closes them until the transaction ends."""
    query = (
        sa.select(MATCH_GROUP)
        .where(MATCH_GROUP.c.rule_id == rule_id, MATCH_GROUP.c.key.in_(keys), _IS_OPEN)
        .order_by(MATCH_GROUP.c.id)
        .with_for_update(read=True)
    )
    return [StoredGroup(*row) for row in session.execute(query)]


def reserve_openings(session: Session, rule_id: UUID) -> int:
    """Keep others from opening groups of a rule; how many are open that tell by themselves."""
    session.execute(_RESERVE, {"rule": str(rule_id)})
    query = (
        sa.select(sa.func.count())
        .select_from(MATCH_GROUP)
        .where(MATCH_GROUP.c.rule_id == rule_id, _IS_OPEN, MATCH_GROUP.c.silence_id.is_(None))
    )
    return session.scalars(query).one()


def insert_group(session: Session, values: Mapping[str, Any]) -> None:
    """Store a new group; one that the same event has opened before stays as it is."""
    statement = insert(MATCH_GROUP).values(**values)
    session.execute(statement.on_conflict_do_nothing(index_elements=["id"]))


def insert_batch(session: Session, values: Mapping[str, Any]) -> None:
    """Store the matches of an event; a repeated event changes nothing."""
    statement = insert(GROUP_BATCH).values(**values)
    session.execute(statement.on_conflict_do_nothing())


def take_due(session: Session, limit: int) -> tuple[datetime, list[StoredGroup]]:
    """Open groups whose windows have ended, for the caller alone, and the database's time.

    Digests have due times of their own. A group that gathers does so by the clock of its events and
    by that of this database: where events are handled late, those of a run are handled together.
    """
    now = database_time(session)
    columns = MATCH_GROUP.c
    has_gathered = sa.or_(columns.window_number >= 0, columns.created_at <= now - GATHERING)
    query = (
        sa.select(MATCH_GROUP)
        .where(_IS_OPEN, columns.window_ends_at <= now, columns.digest_id.is_(None), has_gathered)
        .order_by(MATCH_GROUP.c.window_ends_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return now, [StoredGroup(*row) for row in session.execute(query)]


def waiting_batches(session: Session, group_id: UUID, before: datetime | None) -> list[sa.Row[Any]]:
    """What of a group no message tells of.

    Args:
        session: the transaction, which has locked the group.
        group_id: the group.
        before: only what happened before; what claims to come from the future counts as well.
    """
    columns = GROUP_BATCH.c
    query = sa.select(
        columns.id,
        columns.event_id,
        columns.source,
        columns.event_at,
        columns.match_count,
        columns.matches,
    ).where(columns.group_id == group_id, columns.window_number.is_(None))
    if before is not None:
        query = query.where(sa.or_(columns.event_at < before, columns.event_at > _NOW))
    return list(session.execute(query.order_by(columns.event_at, columns.id)))


def mark_told(session: Session, batch_ids: Sequence[int], window_number: int) -> None:
    """Note which message tells of some batches."""
    if batch_ids:
        session.execute(
            sa.update(GROUP_BATCH)
            .where(GROUP_BATCH.c.id.in_(batch_ids))
            .values(window_number=window_number)
        )


def delete_batches(session: Session, batch_ids: Sequence[int]) -> None:
    """Delete batches, because another group takes them."""
    session.execute(sa.delete(GROUP_BATCH).where(GROUP_BATCH.c.id.in_(batch_ids)))


def change(session: Session, group_id: UUID, values: Mapping[str, Any]) -> StoredGroup:
    """Change a group."""
    statement = (
        sa.update(MATCH_GROUP).where(MATCH_GROUP.c.id == group_id).values(**values)
    ).returning(MATCH_GROUP)
    return StoredGroup(*session.execute(statement).one())


def request_close(
    session: Session, condition: Sequence[sa.ColumnElement[bool]], reason: str
) -> int:
    """Ask for the close of open groups with the sweep that comes next; how many."""
    statement = (
        sa.update(MATCH_GROUP)
        .where(_IS_OPEN, MATCH_GROUP.c.closing_reason.is_(None), *condition)
        .values(closing_reason=reason, window_ends_at=_NOW)
        .returning(MATCH_GROUP.c.id)
    )
    return len(session.execute(statement).all())


def close_subjects(
    session: Session, rule_ids: Collection[UUID], subjects: Collection[str], reason: str
) -> int:
    """Ask for the close of the groups of some rules about some subjects; how many."""
    condition = [MATCH_GROUP.c.rule_id.in_(rule_ids), MATCH_GROUP.c.subject.in_(subjects)]
    return request_close(session, condition, reason)


def close_group(session: Session, group_id: UUID, reason: str) -> int:
    """Ask for the close of a group; 0 if it is closed, or about to be."""
    return request_close(session, [MATCH_GROUP.c.id == group_id], reason)


def end_silence(session: Session, silence_id: UUID, ends_at: datetime) -> None:
    """Let what a silence holds be told at its new end."""
    session.execute(
        sa.update(MATCH_GROUP)
        .where(_IS_OPEN, MATCH_GROUP.c.silence_id == silence_id)
        .values(window_ends_at=ends_at)
    )


def find(session: Session, group_id: UUID, *, lock: bool = False) -> StoredGroup | None:
    """A group of the transaction's tenant; with `lock` it stays as it is until the end."""
    query = sa.select(MATCH_GROUP).where(MATCH_GROUP.c.id == group_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else StoredGroup(*row)


def list_newest(
    session: Session, after: UUID | None, limit: int, rule_id: UUID | None, *, is_open: bool | None
) -> list[StoredGroup]:
    """Groups, newest first, from behind the id `after`."""
    query = sa.select(MATCH_GROUP).order_by(MATCH_GROUP.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(MATCH_GROUP.c.id < after)
    if rule_id is not None:
        query = query.where(MATCH_GROUP.c.rule_id == rule_id)
    if is_open is not None:
        query = query.where(_IS_OPEN if is_open else MATCH_GROUP.c.closed_at.is_not(None))
    return [StoredGroup(*row) for row in session.execute(query)]


def list_batches(session: Session, group_id: UUID, after: int, limit: int) -> Sequence[sa.Row[Any]]:
    """The matches of a group by event, from behind the batch `after`."""
    query = (
        sa.select(GROUP_BATCH)
        .where(GROUP_BATCH.c.group_id == group_id, GROUP_BATCH.c.id > after)
        .order_by(GROUP_BATCH.c.id)
        .limit(limit)
    )
    return session.execute(query).all()


def count_of_silence(session: Session, silence_id: UUID) -> int:
    """The number of matches that a silence has held."""
    query = (
        sa.select(sa.func.coalesce(sa.func.sum(GROUP_BATCH.c.match_count), 0))
        .select_from(GROUP_BATCH.join(MATCH_GROUP, MATCH_GROUP.c.id == GROUP_BATCH.c.group_id))
        .where(MATCH_GROUP.c.silence_id == silence_id)
    )
    return int(session.scalars(query).one())


def take_digest_groups(session: Session, digest_id: UUID) -> list[StoredGroup]:
    """The open groups that collect for a digest, for the caller alone."""
    query = (
        sa.select(MATCH_GROUP)
        .where(_IS_OPEN, MATCH_GROUP.c.digest_id == digest_id)
        .order_by(MATCH_GROUP.c.id)
        .with_for_update()
    )
    return [StoredGroup(*row) for row in session.execute(query)]


def take_escalating(session: Session, limit: int) -> list[StoredGroup]:
    """Groups whose next escalation step is due, for the caller alone."""
    query = (
        sa.select(MATCH_GROUP)
        .where(MATCH_GROUP.c.escalates_at <= _NOW)
        .order_by(MATCH_GROUP.c.escalates_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [StoredGroup(*row) for row in session.execute(query)]


_RECENT: Final = sa.text(
    "SELECT rule, severity, source, matches, event_at FROM ("
    "SELECT g.rule, g.severity, b.source, b.matches, b.event_at, b.created_at FROM group_batch AS b"
    " JOIN match_group AS g ON g.id = b.group_id WHERE b.created_at >= :since"
    " UNION ALL SELECT rule, severity, source, matches, event_at, created_at FROM delivery"
    " WHERE group_id IS NULL AND kind = 'open' AND created_at >= :since"
    ") AS recent ORDER BY created_at DESC LIMIT 500"
)


def recent_batches(session: Session, since: datetime) -> Sequence[sa.Row[Any]]:
    """What rules have matched since a time, newest first, as batches and single events."""
    return session.execute(_RECENT, {"since": since}).all()
