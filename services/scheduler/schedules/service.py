"""What people do with schedules.

Everybody sees the schedules of their tenant and of `public`, and changes those of their tenant. An operator also sees
the platform's own, and may switch them on and off and run them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from services.scheduler.beat.firing import fired_event, rfc3339
from services.scheduler.schedules import repository
from services.scheduler.schedules.repository import Row
from services.scheduler.schedules.schemas import (
    Beat,
    Fire,
    Page,
    Schedule,
    ScheduleCreate,
    SchedulePatch,
    decode_cursor,
    page,
)
from services.scheduler.schedules.task_catalog import queue_for
from services.scheduler.schedules.timing import Timing, message_id
from shared.auth import Principal, Role
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import Conflict, InvalidInput, NotFound
from shared.events.scheduler import Fired
from shared.kafka.outbox import audit, publish

_TIMING = ("cron", "every_seconds", "timezone", "jitter_seconds")


@dataclass(frozen=True, slots=True)
class _Reach:
    """How far a token reaches: the tenant of its transactions, and whose rows it reads and writes."""

    transaction: str
    reads: Sequence[str]
    writes: Sequence[str]


def _reach(who: Principal) -> _Reach:
    if who.role is Role.operator:
        return _Reach(PLATFORM, (who.tenant, PUBLIC, PLATFORM), (who.tenant, PLATFORM))
    return _Reach(who.tenant, (who.tenant, PUBLIC), (who.tenant,))


def list_schedules(
    database: Database, who: Principal, after: str | None, limit: int
) -> Page[Schedule]:
    """The schedules this token may see, by name."""
    reach = _reach(who)
    cursor = decode_cursor(after, str, UUID) if after else None
    with database.transaction(reach.transaction) as session:
        rows = repository.list_schedules(session, reach.reads, cursor, limit + 1)
    return page(
        [Schedule.model_validate(row) for row in rows],
        limit,
        lambda item: (item.name, str(item.id)),
    )


def get_schedule(database: Database, who: Principal, schedule_id: UUID) -> Schedule:
    """One schedule.

    Raises:
        NotFound: there is none of this id that the token may see.
    """
    reach = _reach(who)
    with database.transaction(reach.transaction) as session:
        return Schedule.model_validate(_found(session, reach.reads, schedule_id))


def create_schedule(database: Database, who: Principal, wanted: ScheduleCreate) -> Schedule:
    """A new schedule of the token's tenant.

    Raises:
        InvalidInput: it can never fire or its task may not be scheduled; the field says which.
        Conflict: the tenant has one of that name.
    """
    values = wanted.model_dump() | {"queue": queue_for(wanted.task, who.role)}
    schedule_id = uuid4()
    made = {
        "tenant": who.tenant,
        "id": schedule_id,
        "owner": "api",
        "created_by": who.actor,
        "updated_by": who.actor,
    }
    with database.transaction(_reach(who).transaction) as session:
        times = _times(session, schedule_id, values)
        row = repository.insert(session, made | values | times)
        _audit(session, who, "schedules.create", row)
    return Schedule.model_validate(row)


def change_schedule(
    database: Database, who: Principal, schedule_id: UUID, patch: SchedulePatch
) -> Schedule:
    """Change some fields of a schedule; a changed timing starts anew.

    Raises:
        NotFound: there is none of this id that the token may change.
        InvalidInput: what would come of it can never fire; the field says why.
        Conflict: its tenant has another of the new name, or the code declares what was to change.
    """
    changes = patch.model_dump(exclude_unset=True)
    if "task" in changes:
        changes["queue"] = queue_for(changes["task"], who.role)
    reach = _reach(who)
    with database.transaction(reach.transaction) as session:
        row = _found(session, reach.writes, schedule_id, lock=True)
        if row.owner == "code" and changes.keys() - {"enabled"}:
            raise Conflict("This schedule is declared in the code; only `enabled` can be changed.")
        merged = {name: changes.get(name, getattr(row, name)) for name in (*_TIMING, "enabled")}
        if any(merged[name] != getattr(row, name) for name in merged):
            changes |= _times(session, row.id, merged) | {"disabled_reason": None}
        row = repository.update(session, row, changes, who.actor) if changes else row
        _audit(session, who, "schedules.change", row, changed=" ".join(patch.model_fields_set))
    return Schedule.model_validate(row)


def delete_schedule(database: Database, who: Principal, schedule_id: UUID) -> None:
    """Delete a schedule with its history; what has not been sent is not sent any more.

    Raises:
        NotFound: there is none of this id that the token may change.
        Conflict: the code declares it.
    """
    reach = _reach(who)
    with database.transaction(reach.transaction) as session:
        row = _found(session, reach.writes, schedule_id, lock=True)
        if row.owner == "code":
            raise Conflict(
                "This schedule is declared in the code; it can be switched off, not deleted."
            )
        repository.delete(session, row)
        _audit(session, who, "schedules.delete", row)


def run_schedule(database: Database, who: Principal, schedule_id: UUID) -> Fire:
    """Fire a schedule now, also one that is switched off; its own times stay as they are.

    Raises:
        NotFound: there is none of this id that the token may change.
    """
    reach = _reach(who)
    with database.transaction(reach.transaction) as session:
        row = _found(session, reach.writes, schedule_id, lock=True)
        due = repository.now(session)
        message = message_id(row.id, due)
        key = {"tenant": row.tenant, "schedule_id": row.id, "due_at": due}
        fire = repository.insert_fire(session, key | {"actor": who.actor, "message_id": message})
        said = Fired(row.id, row.name, row.task, rfc3339(due), rfc3339(due))
        publish(session, [fired_event(row.tenant, said, message)])
        _audit(session, who, "schedules.run", row)
    return Fire.model_validate(fire)


def list_fires(
    database: Database, who: Principal, schedule_id: UUID, after: str | None, limit: int
) -> Page[Fire]:
    """A schedule's firings, newest first.

    Raises:
        NotFound: there is no schedule of this id that the token may see.
    """
    reach = _reach(who)
    before = decode_cursor(after, datetime.fromisoformat)[0] if after else None
    with database.transaction(reach.transaction) as session:
        rows = repository.list_fires(
            session, _found(session, reach.reads, schedule_id), before, limit + 1
        )
    return page(
        [Fire.model_validate(row) for row in rows], limit, lambda item: (item.due_at.isoformat(),)
    )


def list_beats(database: Database) -> Page[Beat]:
    """The Beats of the last day, the liveliest first."""
    with database.transaction(PLATFORM) as session:
        return Page(items=[Beat.model_validate(row) for row in repository.list_beats(session)])


def count_pending(database: Database) -> int:
    """Firings that no Beat has sent yet."""
    with database.transaction(PLATFORM) as session:
        return repository.count_pending(session)


def prune_fires(database: Database, days: int) -> int:
    """Forget firings older than so many days; how many went."""
    with database.transaction(PLATFORM) as session:
        return repository.prune_fires(session, days)


def _found(
    session: Session, tenants: Sequence[str], schedule_id: UUID, *, lock: bool = False
) -> Row:
    row = repository.find(session, tenants, schedule_id, lock=lock)
    if row is None:
        raise NotFound(f"There is no schedule {schedule_id} here.")
    return row


def _times(
    session: Session, schedule_id: UUID, values: dict[str, Any]
) -> dict[str, datetime | None]:
    """When a schedule with these values is due and fires next; computed for disabled ones too, to have them checked."""
    timing = Timing(**{name: values[name] for name in _TIMING})
    if timing.every_seconds is not None and timing.jitter_seconds >= timing.every_seconds:
        raise InvalidInput("The jitter must be shorter than the interval.", field="jitter_seconds")
    due = timing.next_due(repository.now(session))
    fires_at = timing.fires_at(schedule_id, due)
    return (
        {"next_due_at": due, "fires_at": fires_at}
        if values["enabled"]
        else {"next_due_at": None, "fires_at": None}
    )


def _audit(session: Session, who: Principal, action: str, row: Row, **details: str) -> None:
    audit(session, "scheduler", row.tenant, who.actor, action, row.id, name=row.name, **details)
