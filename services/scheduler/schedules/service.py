"""Schedules: read, create, change, delete and run them.

A principal reads the schedules of its tenant and of `public`, and changes those of its tenant. An
operator also reads the platform's own, and may switch them on and off and run them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from services.scheduler.quotas.limits import SCHEDULES
from services.scheduler.schedules import repository
from services.scheduler.schedules.core_schedules import CoreSchedule
from services.scheduler.schedules.fired_event import fired_event, rfc3339
from services.scheduler.schedules.repository import Firing, Schedule
from services.scheduler.schedules.schemas import (
    FiringView,
    ScheduleCreate,
    SchedulePatch,
    ScheduleView,
)
from services.scheduler.schedules.task_catalog import check_args, queue_for
from services.scheduler.schedules.timing import Timing, message_id
from shared.audit import changes_between
from shared.auth import Principal, Role
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import Conflict, InvalidInput, NotFound
from shared.events.scheduler import Fired
from shared.kafka.outbox import audit, publish
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.runtime.firings import read_outcomes
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_TIMING_FIELDS = ("cron", "every_seconds", "timezone", "jitter_seconds")


@dataclass(frozen=True, slots=True)
class _Access:
    """The access of a principal.

    Attributes:
        tenant: the tenant of its transactions.
        readable: tenants whose schedules it reads.
        writable: tenants whose schedules it changes.
    """

    tenant: str
    readable: Sequence[str]
    writable: Sequence[str]


def _access_of(principal: Principal) -> _Access:
    if principal.role is Role.operator:
        readable = (principal.tenant, PUBLIC, PLATFORM)
        return _Access(PLATFORM, readable, (principal.tenant, PLATFORM))
    return _Access(principal.tenant, (principal.tenant, PUBLIC), (principal.tenant,))


def list_schedules(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[ScheduleView]:
    """The schedules that the principal reads, by name."""
    access = _access_of(principal)
    position = decode_cursor(after, tuple[str, UUID])
    with database.transaction(access.tenant) as session:
        schedules = repository.list_schedules(session, access.readable, position, limit + 1)
    page = paginate(schedules, limit, lambda schedule: (schedule.name, schedule.id))
    return page.map(ScheduleView.model_validate)


def get_schedule(database: Database, principal: Principal, schedule_id: UUID) -> ScheduleView:
    """One schedule.

    Raises:
        NotFound: the principal reads no such schedule.
    """
    access = _access_of(principal)
    with database.transaction(access.tenant) as session:
        return ScheduleView.model_validate(_get(session, access.readable, schedule_id))


def create_schedule(database: Database, principal: Principal, body: ScheduleCreate) -> ScheduleView:
    """Create a schedule of the principal's tenant.

    Raises:
        InvalidInput: it never fires, or its task may not be scheduled; `field` tells which.
        Conflict: the tenant has a schedule of that name.
        QuotaExceeded: it has as many as it may have.
    """
    check_args(body.task, body.args)
    schedule_id = uuid4()
    values = body.model_dump() | {
        "tenant": principal.tenant,
        "id": schedule_id,
        "queue": queue_for(body.task, principal.role),
        "owner": "api",
        "created_by": principal.actor,
        "updated_by": principal.actor,
    }
    with database.transaction(_access_of(principal).tenant) as session:
        require_room(session, principal.tenant, SCHEDULES)
        times = _times(session, schedule_id, values)
        schedule = repository.insert(session, values | times)
        _audit(session, principal, "schedules.create", schedule, None, schedule)
    return ScheduleView.model_validate(schedule)


def change_schedule(
    database: Database, principal: Principal, schedule_id: UUID, patch: SchedulePatch
) -> ScheduleView:
    """Change some fields of a schedule; a changed timing starts anew.

    Raises:
        NotFound: the principal changes no such schedule.
        InvalidInput: the changed schedule never fires; `field` tells why.
        Conflict: its tenant has another schedule of the new name, or the code declares it.
    """
    changes = patch.model_dump(exclude_unset=True)
    if "task" in changes:
        changes["queue"] = queue_for(changes["task"], principal.role)
    access = _access_of(principal)
    with database.transaction(access.tenant) as session:
        schedule = _get(session, access.writable, schedule_id, lock=True)
        if changes.keys() & {"task", "args"}:
            check_args(changes.get("task", schedule.task), changes.get("args", schedule.args))
        if schedule.owner == "code" and changes.keys() - {"enabled"}:
            raise Conflict("This schedule is declared in the code; only `enabled` can be changed.")
        before = {name: getattr(schedule, name) for name in (*_TIMING_FIELDS, "enabled")}
        after = before | {name: changes[name] for name in before.keys() & changes.keys()}
        if after != before:
            changes |= _times(session, schedule.id, after) | {"disabled_reason": None}
        old = schedule
        if changes:
            schedule = repository.update(session, schedule, changes, principal.actor)
        changed = " ".join(sorted(patch.model_fields_set))
        _audit(
            session,
            principal,
            "schedules.change",
            schedule,
            old,
            schedule,
            changed=changed,
        )
    return ScheduleView.model_validate(schedule)


def delete_schedule(database: Database, principal: Principal, schedule_id: UUID) -> None:
    """Delete a schedule with its history; pending firings are not sent any more.

    Raises:
        NotFound: the principal changes no such schedule.
        Conflict: the code declares it.
    """
    access = _access_of(principal)
    with database.transaction(access.tenant) as session:
        schedule = _get(session, access.writable, schedule_id, lock=True)
        if schedule.owner == "code":
            raise Conflict(
                "This schedule is declared in the code; it can be switched off, not deleted."
            )
        repository.delete(session, schedule)
        _audit(session, principal, "schedules.delete", schedule, schedule)


def run_schedule(database: Database, principal: Principal, schedule_id: UUID) -> FiringView:
    """Fire a schedule now, even if it is disabled; its own times stay as they are.

    Raises:
        NotFound: the principal changes no such schedule.
    """
    access = _access_of(principal)
    with database.transaction(access.tenant) as session:
        schedule = _get(session, access.writable, schedule_id, lock=True)
        due = repository.now(session)
        message = message_id(schedule.id, due)
        values = {
            "tenant": schedule.tenant,
            "schedule_id": schedule.id,
            "due_at": due,
            "actor": principal.actor,
            "message_id": message,
        }
        fire = repository.insert_firing(session, values)
        fired = Fired(schedule.id, schedule.name, schedule.task, rfc3339(due), rfc3339(due))
        publish(session, [fired_event(schedule.tenant, fired, message)])
        _audit(session, principal, "schedules.run", schedule)
    return FiringView.model_validate(fire)


def list_firings(
    database: Database, principal: Principal, schedule_id: UUID, after: str | None, limit: int
) -> Page[FiringView]:
    """A schedule's firings, newest first.

    Raises:
        NotFound: the principal reads no such schedule.
    """
    access = _access_of(principal)
    position = decode_cursor(after, tuple[datetime])
    before = position[0] if position else None
    with database.transaction(access.tenant) as session:
        schedule = _get(session, access.readable, schedule_id)
        fires = repository.list_firings(session, schedule, before, limit + 1)
    page = paginate(_with_outcomes(fires), limit, lambda fire: (fire.due_at,))
    return page.map(FiringView.model_validate)


def _with_outcomes(fires: Sequence[Firing]) -> list[Firing]:
    """Firings with what the broker knows of their tasks and no row tells yet."""
    open_ones = [fire for fire in fires if fire.state == "sent" and fire.outcome is None]
    try:
        outcomes = read_outcomes([fire.message_id for fire in open_ones])
    except RedisError as error:
        log.warning("firing.outcome_unread", reason=str(error))
        return list(fires)
    return [
        replace(fire, outcome=outcome.state, reason=outcome.reason, run_id=outcome.run)
        if (outcome := outcomes.get(fire.message_id)) and fire.outcome is None
        else fire
        for fire in fires
    ]


def reconcile_core(session: Session, declared: Sequence[CoreSchedule]) -> int:
    """Make the stored core schedules the declared ones; the number of changed rows."""
    return repository.reconcile_core(session, declared)


def _get(
    session: Session, tenants: Sequence[str], schedule_id: UUID, *, lock: bool = False
) -> Schedule:
    schedule = repository.find(session, tenants, schedule_id, lock=lock)
    if schedule is None:
        raise NotFound(f"There is no schedule {schedule_id} here.")
    return schedule


def _times(
    session: Session, schedule_id: UUID, values: dict[str, Any]
) -> dict[str, datetime | None]:
    """The due time and firing time of a schedule with some values; None if it is disabled.

    They are computed in any case, so that the timing of disabled schedules is valid, too.
    """
    timing = Timing(**{name: values[name] for name in _TIMING_FIELDS})
    if timing.every_seconds is not None and timing.jitter_seconds >= timing.every_seconds:
        raise InvalidInput("The jitter must be shorter than the interval.", field="jitter_seconds")
    due = timing.next_due(repository.now(session))
    fires_at = timing.fires_at(schedule_id, due)
    if not values["enabled"]:
        return {"next_due_at": None, "fires_at": None}
    return {"next_due_at": due, "fires_at": fires_at}


def _audit(  # who, what, and both states
    session: Session,
    principal: Principal,
    action: str,
    schedule: Schedule,
    before: Schedule | None = None,
    after: Schedule | None = None,
    /,
    **details: str,
) -> None:
    audit(
        session,
        "scheduler",
        schedule.tenant,
        principal.actor,
        action,
        schedule.id,
        changes_between(_audited(before), _audited(after)),
        name=schedule.name,
        **details,
    )


def _audited(schedule: Schedule | None) -> dict[str, Any]:
    if schedule is None:
        return {}
    return {name: getattr(schedule, name) for name in ScheduleCreate.model_fields}
