"""SQL of Beats: claim due schedules, record their firings, find and mark those to be sent.

It writes the tables of the room `schedules` in bulk, within the transaction of a round. Any number
of Beats may do so at once: they skip rows that another one has locked, and the key of `fire` makes
a second firing for the same due time impossible. All times are the database's.

Schedules and firings are locked, not leased. A round's work is the transaction itself, which lasts
for milliseconds: the locks end with the Beat that holds them, another goes on at once, and there is
no lease to write for each of thousands of rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.scheduler.beat.models import BEAT
from services.scheduler.schedules.models import FIRE, SCHEDULE
from services.scheduler.schedules.timing import CatchUp, Timing
from shared.database import PLATFORM
from shared.frozen_tenants import is_frozen
from shared.runtime.firings import TaskOutcome

SYSTEM: Final = "system"
"""The actor of firings by time; others were fired by a person."""

_PREPARE: Final = sa.text(
    "SELECT set_config('idle_in_transaction_session_timeout', '5s', true),"
    " set_config('enable_seqscan', 'off', true)"
)
# Row by row in one pipeline: PostgreSQL plans a join with a list of values badly while these tables
# have no statistics yet.
_ADVANCE: Final = (
    sa.update(SCHEDULE)
    .where(SCHEDULE.c.id == sa.bindparam("key"), SCHEDULE.c.tenant == sa.bindparam("owner_tenant"))
    .values(next_due_at=sa.bindparam("due"), fires_at=sa.bindparam("fires"))
)
_MISSED: Final = (
    sa.update(FIRE)
    .where(FIRE.c.schedule_id == sa.bindparam("key"), FIRE.c.due_at == sa.bindparam("due"))
    .values(state="missed")
)
_CLOCK: Final = sa.func.clock_timestamp()
_CONFIRM_AFTER: Final = sa.text(
    # Longer each time, so that what never runs is sent a few times a day.
    "least(greatest(clock_timestamp() - fired_at, interval '2 minutes'), interval '1 hour')"
)
_SENT: Final = (
    sa.update(FIRE)
    .where(FIRE.c.schedule_id == sa.bindparam("key"), FIRE.c.due_at == sa.bindparam("due"))
    .values(
        state="sent",
        sent_at=_CLOCK,
        # The platform's own tasks look for rows: their next firing does the same.
        confirm_by=sa.case((FIRE.c.tenant != PLATFORM, _CLOCK + _CONFIRM_AFTER)),
    )
)
_UNCONFIRMED: Final = sa.and_(
    FIRE.c.schedule_id == sa.bindparam("key"),
    FIRE.c.due_at == sa.bindparam("due"),
    FIRE.c.state == "sent",
    FIRE.c.confirm_by == sa.bindparam("by"),
)
_CONFIRM: Final = (
    sa.update(FIRE)
    .where(_UNCONFIRMED)
    .values(
        confirm_by=None,
        outcome=sa.bindparam("outcome"),
        reason=sa.bindparam("reason"),
        run_id=sa.bindparam("run"),
    )
)
_POSTPONE: Final = (
    sa.update(FIRE).where(_UNCONFIRMED).values(confirm_by=_CLOCK + sa.text("interval '2 minutes'"))
)
_RETURN: Final = sa.update(FIRE).where(_UNCONFIRMED).values(state="pending", confirm_by=None)
_RECORD: Final = sa.text(
    "INSERT INTO fire (tenant, schedule_id, due_at, state, actor, message_id) "
    "SELECT v.tenant, v.id, v.due, v.state, 'system', v.message "
    "FROM unnest(CAST(:tenants AS text[]), CAST(:ids AS uuid[]), CAST(:due AS timestamptz[]), "
    "CAST(:states AS text[]), CAST(:messages AS uuid[])) AS v (tenant, id, due, state, message) "
    "ON CONFLICT DO NOTHING RETURNING message_id"
)


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A due schedule that this transaction has locked."""

    tenant: str
    id: UUID
    name: str
    task: str
    timing: Timing
    catch_up: CatchUp
    due_at: datetime
    fires_at: datetime


@dataclass(frozen=True, slots=True)
class PendingFiring:
    """A firing that this transaction has locked, and its message to send.

    Attributes:
        waited: since it was recorded.
        is_superseded: whether its schedule came due again since then.
    """

    tenant: str
    schedule_id: UUID
    due_at: datetime
    actor: str
    message_id: UUID
    task: str
    queue: str
    args: list[Any]
    name: str
    catch_up: CatchUp
    waited: timedelta
    is_superseded: bool


class UnconfirmedFiring(NamedTuple):
    """A firing that was sent a while ago, and of whose task nothing is known yet.

    Attributes:
        is_expired: whether a worker would drop its message unread.
    """

    schedule_id: UUID
    due_at: datetime
    message_id: UUID
    queue: str
    confirm_by: datetime
    is_expired: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """A stored heartbeat."""

    tenant: str
    id: UUID
    host: str
    pid: int
    started_at: datetime
    last_tick_at: datetime
    last_fired_at: datetime | None
    seconds_since_tick: float


class Advance(NamedTuple):
    """The next times of a schedule that fired."""

    schedule: DueSchedule
    next_due: datetime
    fires_at: datetime


class NewFiring(NamedTuple):
    """A firing to record; `state` is `pending` or `missed`."""

    schedule: DueSchedule
    state: str
    message_id: UUID


def prepare(session: Session) -> None:
    """Make this transaction a round's.

    The server ends it when the Beat stops in the middle, so that another Beat goes on. It always
    uses indexes: these tables grow from nothing to thousands of rows faster than their statistics,
    and plans are cached.
    """
    session.execute(_PREPARE)


def lock_due(session: Session, limit: int) -> tuple[datetime, list[DueSchedule]]:
    """Due schedules that no other Beat has locked, and the time of the database."""
    query = (
        sa.select(SCHEDULE, sa.func.now().label("now"))
        .where(SCHEDULE.c.fires_at <= sa.func.now(), ~is_frozen(SCHEDULE.c.tenant))
        .order_by(SCHEDULE.c.fires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(query).all()
    if not rows:
        return session.execute(sa.select(sa.func.now())).scalar_one(), []
    return rows[0].now, [_due_schedule(row) for row in rows]


def _due_schedule(row: sa.Row[Any]) -> DueSchedule:
    timing = Timing(row.cron, row.every_seconds, row.timezone, row.jitter_seconds)
    return DueSchedule(
        row.tenant, row.id, row.name, row.task, timing, row.catch_up, row.next_due_at, row.fires_at
    )


def advance(session: Session, advances: Sequence[Advance]) -> None:
    """Set schedules to their next due time."""
    rows = [
        {
            "key": schedule.id,
            "owner_tenant": schedule.tenant,
            "due": next_due,
            "fires": fires_at,
        }
        for schedule, next_due, fires_at in advances
    ]
    session.connection().execute(_ADVANCE, rows)


def disable(session: Session, schedule: DueSchedule, reason: str) -> None:
    """Switch off a schedule whose times cannot be computed."""
    session.execute(
        sa.update(SCHEDULE)
        .where(SCHEDULE.c.tenant == schedule.tenant, SCHEDULE.c.id == schedule.id)
        .values(
            enabled=False,
            next_due_at=None,
            fires_at=None,
            disabled_reason=reason,
            updated_at=sa.func.now(),
        )
    )


def record_firings(session: Session, fires: Sequence[NewFiring]) -> set[UUID]:
    """Store firings; the message ids of those that were not stored before."""
    values = {
        "tenants": [fire.schedule.tenant for fire in fires],
        "ids": [fire.schedule.id for fire in fires],
        "due": [fire.schedule.due_at for fire in fires],
        "states": [fire.state for fire in fires],
        "messages": [fire.message_id for fire in fires],
    }
    return set(session.scalars(_RECORD, values))


def seconds_to_next(session: Session) -> float | None:
    """Seconds until the next schedule fires, negative if it is late; None without schedules."""
    wait = sa.func.extract("epoch", sa.func.min(SCHEDULE.c.fires_at) - sa.func.clock_timestamp())
    seconds = session.scalar(sa.select(wait))
    return None if seconds is None else float(seconds)


def lock_pending(
    session: Session, limit: int, full_queues: Collection[str] = ()
) -> list[PendingFiring]:
    """Pending firings that no other Beat has locked, oldest first.

    Args:
        session: the transaction.
        limit: most firings.
        full_queues: queues whose firings wait.
    """
    newer = FIRE.alias("newer")
    is_superseded = sa.exists().where(
        newer.c.schedule_id == FIRE.c.schedule_id,
        newer.c.due_at > FIRE.c.due_at,
        newer.c.actor == SYSTEM,
    )
    same_schedule = sa.and_(SCHEDULE.c.tenant == FIRE.c.tenant, SCHEDULE.c.id == FIRE.c.schedule_id)
    query = (
        sa.select(
            FIRE.c.tenant,
            FIRE.c.schedule_id,
            FIRE.c.due_at,
            FIRE.c.actor,
            FIRE.c.message_id,
            SCHEDULE.c.task,
            SCHEDULE.c.queue,
            SCHEDULE.c.args,
            SCHEDULE.c.name,
            SCHEDULE.c.catch_up,
            sa.func.clock_timestamp() - FIRE.c.fired_at,
            is_superseded,
        )
        .join(SCHEDULE, same_schedule)
        .where(FIRE.c.state == "pending", SCHEDULE.c.queue.not_in(full_queues))
        .order_by(FIRE.c.fired_at)
        .limit(limit)
        .with_for_update(of=FIRE, skip_locked=True)
    )
    return [PendingFiring(*tuple(row)) for row in session.execute(query)]


def mark_sent(session: Session, fires: Sequence[PendingFiring]) -> None:
    """Record that the broker has the messages of some firings."""
    rows = [{"key": fire.schedule_id, "due": fire.due_at} for fire in fires]
    session.connection().execute(_SENT, rows)


def mark_missed(session: Session, fires: Sequence[PendingFiring]) -> None:
    """Record that some firings are not sent any more."""
    rows = [{"key": fire.schedule_id, "due": fire.due_at} for fire in fires]
    session.connection().execute(_MISSED, rows)


def list_unconfirmed(
    session: Session, limit: int, message_seconds: float
) -> list[UnconfirmedFiring]:
    """Firings whose tasks should have run by now, those that have waited longest first.

    Args:
        session: the transaction.
        limit: most firings.
        message_seconds: how long workers take a message.
    """
    age = sa.func.make_interval(0, 0, 0, 0, 0, 0, message_seconds)
    query = (
        sa.select(
            FIRE.c.schedule_id,
            FIRE.c.due_at,
            FIRE.c.message_id,
            SCHEDULE.c.queue,
            FIRE.c.confirm_by,
            FIRE.c.sent_at < _CLOCK - age,
        )
        .join(
            SCHEDULE,
            sa.and_(SCHEDULE.c.tenant == FIRE.c.tenant, SCHEDULE.c.id == FIRE.c.schedule_id),
        )
        .where(FIRE.c.confirm_by < _CLOCK, FIRE.c.state == "sent")
        .order_by(FIRE.c.confirm_by)
        .limit(limit)
    )
    return [UnconfirmedFiring(*tuple(row)) for row in session.execute(query)]


def confirm(session: Session, outcomes: Sequence[tuple[UnconfirmedFiring, TaskOutcome]]) -> None:
    """Record that the tasks of some firings have run, and what became of them."""
    rows = [
        _key(fire) | {"outcome": outcome.state, "reason": outcome.reason, "run": outcome.run}
        for fire, outcome in outcomes
    ]
    if rows:
        session.connection().execute(_CONFIRM, rows)


def postpone_confirmation(session: Session, fires: Sequence[UnconfirmedFiring]) -> None:
    """Wait longer for the tasks of some firings."""
    _change_unconfirmed(session, _POSTPONE, fires)


def return_to_pending(session: Session, fires: Sequence[UnconfirmedFiring]) -> None:
    """Record that the messages of some firings are lost: the next round judges them anew."""
    _change_unconfirmed(session, _RETURN, fires)


def _change_unconfirmed(
    session: Session, statement: sa.Update, fires: Sequence[UnconfirmedFiring]
) -> None:
    if fires:
        session.connection().execute(statement, [_key(fire) for fire in fires])


def _key(fire: UnconfirmedFiring) -> dict[str, Any]:
    return {"key": fire.schedule_id, "due": fire.due_at, "by": fire.confirm_by}


def count_pending(session: Session) -> int:
    """The number of firings that no Beat has sent yet."""
    return session.execute(sa.select(sa.func.count()).where(FIRE.c.state == "pending")).scalar_one()


def heartbeat(session: Session, beat_id: UUID, host: str, pid: int, *, fired: bool) -> None:
    """Record that a Beat is alive, and delete Beats whose last tick is a day old.

    With `fired` the Beat has also fired since its last heartbeat.
    """
    now = sa.func.clock_timestamp()
    values: dict[str, Any] = {"last_tick_at": now}
    if fired:
        values["last_fired_at"] = now
    statement = insert(BEAT).values(tenant=PLATFORM, id=beat_id, host=host, pid=pid, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[BEAT.c.id], set_=values))
    session.execute(sa.delete(BEAT).where(BEAT.c.last_tick_at < now - sa.text("interval '1 day'")))


def list_beats(session: Session) -> list[Beat]:
    """The Beats of the last day, those with the newest tick first."""
    age = sa.func.extract("epoch", sa.func.now() - BEAT.c.last_tick_at).label("seconds_since_tick")
    query = sa.select(BEAT, age).order_by(BEAT.c.last_tick_at.desc())
    return [Beat(*row) for row in session.execute(query)]
