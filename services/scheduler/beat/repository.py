"""What Beats ask of the database: claim what is due, record that it fired, find what is still to be sent.

Any number of Beats may ask at once: rows one of them holds are skipped by the others, and the key of `fire` makes a
second firing of the same due time impossible. All times are the database's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.scheduler.schedules.models import BEAT, FIRE, SCHEDULE
from services.scheduler.schedules.timing import CatchUp, Timing
from shared.database import PLATFORM

_PREPARE: Final = sa.text(
    "SELECT set_config('idle_in_transaction_session_timeout', '5s', true), set_config('enable_seqscan', 'off', true)"
)
# Row by row in one pipeline: a join with a list of values is planned as if there were no statistics yet, badly.
_ADVANCE: Final = (
    sa.update(SCHEDULE)
    .where(SCHEDULE.c.id == sa.bindparam("key"), SCHEDULE.c.tenant == sa.bindparam("whose"))
    .values(next_due_at=sa.bindparam("due"), fires_at=sa.bindparam("fires"))
)
_SENT: Final = (
    sa.update(FIRE)
    .where(FIRE.c.schedule_id == sa.bindparam("key"), FIRE.c.due_at == sa.bindparam("due"))
    .values(state="sent", sent_at=sa.func.clock_timestamp())
)
_RECORD: Final = sa.text(
    "INSERT INTO fire (tenant, schedule_id, due_at, state, actor, message_id) "
    "SELECT v.tenant, v.id, v.due, v.state, 'system', v.message "
    "FROM unnest(CAST(:tenants AS text[]), CAST(:ids AS uuid[]), CAST(:due AS timestamptz[]), "
    "CAST(:states AS text[]), CAST(:messages AS uuid[])) AS v (tenant, id, due, state, message) "
    "ON CONFLICT DO NOTHING RETURNING message_id"
)


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule that is due and held by this transaction."""

    tenant: str
    id: UUID
    name: str
    task: str
    timing: Timing
    catch_up: CatchUp
    due_at: datetime
    fires_at: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """A firing whose message is still to be sent, held by this transaction."""

    tenant: str
    schedule_id: UUID
    due_at: datetime
    actor: str
    message_id: UUID
    task: str
    queue: str
    args: list[Any]


def prepare(session: Session) -> None:
    """Make this transaction one of a Beat's.

    The server ends it when its process stops in the middle, so that another Beat goes on. And it always goes by index:
    these tables grow from nothing to thousands of rows faster than statistics follow, and plans are kept.
    """
    session.execute(_PREPARE)


def lock_due(session: Session, limit: int) -> tuple[datetime, list[Due]]:
    """The schedules that are due and that nobody else holds, with the time of the database."""
    query = sa.select(SCHEDULE, sa.func.now().label("now")).where(
        SCHEDULE.c.fires_at <= sa.func.now()
    )
    rows = session.execute(
        query.order_by(SCHEDULE.c.fires_at).limit(limit).with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return session.execute(sa.select(sa.func.now())).scalar_one(), []
    return rows[0].now, [_due(row) for row in rows]


def _due(row: sa.Row[Any]) -> Due:
    timing = Timing(row.cron, row.every_seconds, row.timezone, row.jitter_seconds)
    return Due(
        row.tenant, row.id, row.name, row.task, timing, row.catch_up, row.next_due_at, row.fires_at
    )


def advance(session: Session, moves: Sequence[tuple[Due, datetime, datetime]]) -> None:
    """Set schedules to their next due time and the time they fire for it."""
    rows = [
        {"key": due.id, "whose": due.tenant, "due": next_due, "fires": at}
        for due, next_due, at in moves
    ]
    session.connection().execute(_ADVANCE, rows)


def disable(session: Session, due: Due, reason: str) -> None:
    """Take a schedule out that cannot be computed, and say why."""
    session.execute(
        sa.update(SCHEDULE)
        .where(SCHEDULE.c.tenant == due.tenant, SCHEDULE.c.id == due.id)
        .values(
            enabled=False,
            next_due_at=None,
            fires_at=None,
            disabled_reason=reason,
            updated_at=sa.func.now(),
        )
    )


def record_fires(session: Session, fires: Sequence[tuple[Due, str, UUID]]) -> set[UUID]:
    """Insert firings given as schedule, state and message id; the message ids of those that are new."""
    values = {
        "tenants": [due.tenant for due, _, _ in fires],
        "ids": [due.id for due, _, _ in fires],
        "due": [due.due_at for due, _, _ in fires],
        "states": [state for _, state, _ in fires],
        "messages": [message for _, _, message in fires],
    }
    return set(session.scalars(_RECORD, values))


def seconds_to_next(session: Session) -> float | None:
    """Seconds until the next schedule fires, below zero when one already should; None without any."""
    wait = sa.func.extract("epoch", sa.func.min(SCHEDULE.c.fires_at) - sa.func.clock_timestamp())
    seconds = session.scalar(sa.select(wait))
    return None if seconds is None else float(seconds)


def lock_pending(session: Session, limit: int) -> list[Pending]:
    """Firings still to be sent that nobody else is sending, oldest first."""
    rows = session.execute(
        sa.select(FIRE, SCHEDULE.c.task, SCHEDULE.c.queue, SCHEDULE.c.args)
        .join(
            SCHEDULE,
            sa.and_(SCHEDULE.c.tenant == FIRE.c.tenant, SCHEDULE.c.id == FIRE.c.schedule_id),
        )
        .where(FIRE.c.state == "pending")
        .order_by(FIRE.c.fired_at)
        .limit(limit)
        .with_for_update(of=FIRE, skip_locked=True)
    )
    return [
        Pending(r.tenant, r.schedule_id, r.due_at, r.actor, r.message_id, r.task, r.queue, r.args)
        for r in rows
    ]


def mark_sent(session: Session, fires: Sequence[Pending]) -> None:
    """Record that these messages are with the broker."""
    session.connection().execute(
        _SENT, [{"key": fire.schedule_id, "due": fire.due_at} for fire in fires]
    )


def beat(session: Session, beat_id: UUID, host: str, pid: int, *, fired: bool) -> None:
    """A Beat's sign of life; also forgets Beats that gave none for a day."""
    now = sa.func.clock_timestamp()
    values: dict[str, Any] = {"last_tick_at": now} | ({"last_fired_at": now} if fired else {})
    statement = insert(BEAT).values(tenant=PLATFORM, id=beat_id, host=host, pid=pid, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[BEAT.c.id], set_=values))
    session.execute(sa.delete(BEAT).where(BEAT.c.last_tick_at < now - sa.text("interval '1 day'")))
