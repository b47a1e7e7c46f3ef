"""Schedules and their firings, as people and the platform's own code change them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.scheduler.schedules.core import CoreSchedule
from services.scheduler.schedules.models import BEAT, FIRE, SCHEDULE
from shared.database import PLATFORM
from shared.errors import Conflict

Row = sa.Row[Any]

_ONE_AT_A_TIME = sa.text("SELECT pg_advisory_xact_lock(hashtext('sentineliq.scheduler.core'))")


def now(session: Session) -> datetime:
    """The time of the database, the only clock that schedules know."""
    return session.execute(sa.select(sa.func.now())).scalar_one().astimezone(UTC)


def list_schedules(
    session: Session, tenants: Sequence[str], after: tuple[str, UUID] | None, limit: int
) -> list[Row]:
    """Schedules of these tenants by name, from behind `after`."""
    query = sa.select(SCHEDULE).where(SCHEDULE.c.tenant.in_(tenants))
    if after is not None:
        query = query.where(sa.tuple_(SCHEDULE.c.name, SCHEDULE.c.id) > sa.tuple_(*after))
    return list(session.execute(query.order_by(SCHEDULE.c.name, SCHEDULE.c.id).limit(limit)))


def find(
    session: Session, tenants: Sequence[str], schedule_id: UUID, *, lock: bool = False
) -> Row | None:
    """One schedule; with `lock` no Beat claims it before this transaction ends."""
    query = sa.select(SCHEDULE).where(SCHEDULE.c.tenant.in_(tenants), SCHEDULE.c.id == schedule_id)
    return session.execute(query.with_for_update() if lock else query).one_or_none()


def insert(session: Session, values: dict[str, Any]) -> Row:
    """A new schedule.

    Raises:
        Conflict: its tenant has one of that name.
    """
    try:
        return session.execute(sa.insert(SCHEDULE).values(**values).returning(SCHEDULE)).one()
    except IntegrityError as error:
        raise _name_taken(values["name"], error) from error


def update(session: Session, row: Row, values: dict[str, Any], actor: str) -> Row:
    """Change a schedule.

    Raises:
        Conflict: its tenant has another of the new name.
    """
    statement = (
        sa.update(SCHEDULE)
        .where(SCHEDULE.c.tenant == row.tenant, SCHEDULE.c.id == row.id)
        .values(**values, updated_at=sa.func.now(), updated_by=actor)
    )
    try:
        return session.execute(statement.returning(SCHEDULE)).one()
    except IntegrityError as error:
        raise _name_taken(values.get("name", row.name), error) from error


def _name_taken(name: str, error: IntegrityError) -> Exception:
    return (
        Conflict(f"There is a schedule {name!r} already.", field="name")
        if "schedule_name" in str(error)
        else error
    )


def delete(session: Session, row: Row) -> None:
    """Delete a schedule and its firings, those not yet sent included."""
    session.execute(
        sa.delete(SCHEDULE).where(SCHEDULE.c.tenant == row.tenant, SCHEDULE.c.id == row.id)
    )


def insert_fire(session: Session, values: dict[str, Any]) -> Row:
    """A firing by hand; a Beat sends it with its next tick."""
    return session.execute(sa.insert(FIRE).values(state="pending", **values).returning(FIRE)).one()


def list_fires(session: Session, schedule: Row, before: datetime | None, limit: int) -> list[Row]:
    """A schedule's firings, newest first, older than `before`."""
    query = sa.select(FIRE).where(
        FIRE.c.tenant == schedule.tenant, FIRE.c.schedule_id == schedule.id
    )
    if before is not None:
        query = query.where(FIRE.c.due_at < before)
    return list(session.execute(query.order_by(FIRE.c.due_at.desc()).limit(limit)))


def list_beats(session: Session) -> list[Row]:
    """The Beats of the last day, the liveliest first, with the seconds since their last tick."""
    age = sa.func.extract("epoch", sa.func.now() - BEAT.c.last_tick_at).label("seconds_since_tick")
    return list(session.execute(sa.select(BEAT, age).order_by(BEAT.c.last_tick_at.desc())))


def count_pending(session: Session) -> int:
    """Firings that no Beat has sent yet."""
    return session.execute(sa.select(sa.func.count()).where(FIRE.c.state == "pending")).scalar_one()


def prune_fires(session: Session, days: int) -> int:
    """Delete firings older than so many days, except those still to be sent; how many went."""
    old = FIRE.c.fired_at < sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    gone = session.execute(
        sa.delete(FIRE).where(old, FIRE.c.state != "pending").returning(sa.literal(1))
    )
    return len(gone.all())


def reconcile_core(session: Session, declared: Sequence[CoreSchedule]) -> int:
    """Make the code's schedules in the table the declared ones; how many rows changed.

    What an operator switched off stays off. What a Beat switched off because it could not be computed is switched on
    again when its declaration changes.
    """
    session.execute(_ONE_AT_A_TIME)
    own = sa.and_(SCHEDULE.c.tenant == PLATFORM, SCHEDULE.c.owner == "code")
    present = {
        row.id: row for row in session.execute(sa.select(SCHEDULE).where(own).with_for_update())
    }
    orphans = present.keys() - {schedule.id for schedule in declared}
    session.execute(sa.delete(SCHEDULE).where(own, SCHEDULE.c.id.in_(orphans)))
    moment = now(session)
    return len(orphans) + sum(
        _declare(session, schedule, present.get(schedule.id), moment) for schedule in declared
    )


def _declare(session: Session, schedule: CoreSchedule, row: Row | None, moment: datetime) -> bool:
    columns = schedule.columns()
    if row is None:
        # An interval begins now: a fresh installation does not wait for its first feeds.
        due = moment if schedule.timing.every_seconds else schedule.timing.next_due(moment)
        times = {
            "enabled": True,
            "next_due_at": due,
            "fires_at": schedule.timing.fires_at(schedule.id, due),
        }
        made = {
            "tenant": PLATFORM,
            "id": schedule.id,
            "owner": "code",
            "created_by": "code",
            "updated_by": "code",
        }
        insert(session, made | columns | times)
        return True
    if all(getattr(row, name) == value for name, value in columns.items()):
        return False
    if row.enabled or row.disabled_reason is not None:
        due = schedule.timing.next_due(moment)
        fires_at = schedule.timing.fires_at(schedule.id, due)
        columns |= {
            "enabled": True,
            "disabled_reason": None,
            "next_due_at": due,
            "fires_at": fires_at,
        }
    update(session, row, columns, "code")
    return True
