"""SQL of schedules and their firings, except what a Beat does (`beat/repository.py`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.scheduler.schedules.core_schedules import CoreSchedule
from services.scheduler.schedules.models import FIRE, SCHEDULE
from services.scheduler.schedules.timing import CatchUp
from shared.database import PLATFORM
from shared.errors import Conflict

_LOCK_CORE = sa.text("SELECT pg_advisory_xact_lock(hashtext('sentineliq.scheduler.core'))")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A stored schedule.

    Attributes:
        args: positional arguments of the task, as JSON.
        owner: `code` for core schedules, else `api`.
        disabled_reason: why a Beat switched it off; None if a user did.
        next_due_at: None if it is disabled.
        fires_at: `next_due_at` with its jitter.
    """

    id: UUID
    tenant: str
    name: str
    task: str
    queue: str
    args: list[Any]
    cron: str | None
    every_seconds: int | None
    timezone: str
    jitter_seconds: int
    catch_up: CatchUp
    owner: str
    enabled: bool
    disabled_reason: str | None
    next_due_at: datetime | None
    fires_at: datetime | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class Firing:
    """A stored firing; `state` is `pending`, `sent` or `missed`.

    Attributes:
        confirm_by: when a message that was sent is taken for lost; None if its task has run, or
            nobody asks.
        outcome: what became of its task; None while the broker alone knows, or nobody.
        reason: why the task failed.
        run_id: the run that the task has started.
    """

    tenant: str
    schedule_id: UUID
    due_at: datetime
    state: str
    actor: str
    fired_at: datetime
    sent_at: datetime | None
    message_id: UUID
    confirm_by: datetime | None
    outcome: str | None = None
    reason: str | None = None
    run_id: UUID | None = None


def now(session: Session) -> datetime:
    """The time of the database, by which all schedules run."""
    return session.execute(sa.select(sa.func.now())).scalar_one().astimezone(UTC)


def list_schedules(
    session: Session, tenants: Sequence[str], after: tuple[str, UUID] | None, limit: int
) -> list[Schedule]:
    """Schedules of some tenants by name, from behind the name and id `after`."""
    query = sa.select(SCHEDULE).where(SCHEDULE.c.tenant.in_(tenants))
    if after is not None:
        query = query.where(sa.tuple_(SCHEDULE.c.name, SCHEDULE.c.id) > sa.tuple_(*after))
    rows = session.execute(query.order_by(SCHEDULE.c.name, SCHEDULE.c.id).limit(limit))
    return [Schedule(*row) for row in rows]


def find(
    session: Session, tenants: Sequence[str], schedule_id: UUID, *, lock: bool = False
) -> Schedule | None:
    """One schedule; with `lock` no Beat claims it before this transaction ends."""
    query = sa.select(SCHEDULE).where(SCHEDULE.c.tenant.in_(tenants), SCHEDULE.c.id == schedule_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Schedule(*row)


def insert(session: Session, values: Mapping[str, Any]) -> Schedule:
    """Store a new schedule.

    Raises:
        Conflict: its tenant has a schedule of that name.
    """
    return _write(session, sa.insert(SCHEDULE).values(**values), values["name"])


def update(session: Session, schedule: Schedule, values: Mapping[str, Any], actor: str) -> Schedule:
    """Change a schedule.

    Raises:
        Conflict: its tenant has another schedule of the new name.
    """
    statement = (
        sa.update(SCHEDULE)
        .where(SCHEDULE.c.tenant == schedule.tenant, SCHEDULE.c.id == schedule.id)
        .values(**values, updated_at=sa.func.now(), updated_by=actor)
    )
    return _write(session, statement, values.get("name", schedule.name))


def _write(session: Session, statement: sa.Insert | sa.Update, name: str) -> Schedule:
    try:
        return Schedule(*session.execute(statement.returning(SCHEDULE)).one())
    except IntegrityError as error:
        if "schedule_name" in str(error):
            message = f"There is a schedule {name!r} already."
            raise Conflict(message, field="name") from error
        raise


def delete(session: Session, schedule: Schedule) -> None:
    """Delete a schedule and its firings, even those that are not sent yet."""
    session.execute(
        sa.delete(SCHEDULE).where(
            SCHEDULE.c.tenant == schedule.tenant, SCHEDULE.c.id == schedule.id
        )
    )


def insert_firing(session: Session, values: Mapping[str, Any]) -> Firing:
    """Store a manual firing, which a Beat sends with its next tick."""
    statement = sa.insert(FIRE).values(state="pending", **values)
    return Firing(*session.execute(statement.returning(FIRE)).one())


def list_firings(
    session: Session, schedule: Schedule, before: datetime | None, limit: int
) -> list[Firing]:
    """A schedule's firings with due times before `before`, newest first."""
    query = sa.select(FIRE).where(
        FIRE.c.tenant == schedule.tenant, FIRE.c.schedule_id == schedule.id
    )
    if before is not None:
        query = query.where(FIRE.c.due_at < before)
    rows = session.execute(query.order_by(FIRE.c.due_at.desc()).limit(limit))
    return [Firing(*row) for row in rows]


def reconcile_core(session: Session, declared: Sequence[CoreSchedule]) -> int:
    """Make the core schedules in the table the declared ones; the number of changed rows.

    A schedule that an operator switched off stays off. One that a Beat switched off, since its due
    time could not be computed, is switched on again when its declaration changes.
    """
    session.execute(_LOCK_CORE)
    is_core = sa.and_(SCHEDULE.c.tenant == PLATFORM, SCHEDULE.c.owner == "code")
    rows = session.execute(sa.select(SCHEDULE).where(is_core).with_for_update())
    stored = {row.id: Schedule(*row) for row in rows}
    orphans = stored.keys() - {schedule.id for schedule in declared}
    session.execute(sa.delete(SCHEDULE).where(is_core, SCHEDULE.c.id.in_(orphans)))
    moment = now(session)
    changed = [_declare(session, core, stored.get(core.id), moment) for core in declared]
    return len(orphans) + sum(changed)


def _declare(
    session: Session, core: CoreSchedule, stored: Schedule | None, moment: datetime
) -> bool:
    """Write one declared schedule to the table; whether that changed a row."""
    columns = core.columns()
    if stored is None:
        # An interval is due now: a new installation fetches its first feeds at once.
        due = moment if core.timing.every_seconds else core.timing.next_due(moment)
        identity = {
            "tenant": PLATFORM,
            "id": core.id,
            "owner": "code",
            "created_by": "code",
            "updated_by": "code",
        }
        insert(session, identity | columns | _enabled_at(core, due))
        return True
    if all(getattr(stored, name) == value for name, value in columns.items()):
        return False
    if stored.enabled or stored.disabled_reason is not None:
        columns |= _enabled_at(core, core.timing.next_due(moment))
        columns["disabled_reason"] = None
    update(session, stored, columns, "code")
    return True


def _enabled_at(core: CoreSchedule, due: datetime) -> dict[str, Any]:
    fires_at = core.timing.fires_at(core.id, due)
    return {"enabled": True, "next_due_at": due, "fires_at": fires_at}
