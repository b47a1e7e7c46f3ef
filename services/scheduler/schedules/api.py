"""Routes of schedules."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.scheduler.schedules import service
from services.scheduler.schedules.schemas import (
    FiringView,
    ScheduleCreate,
    SchedulePatch,
    ScheduleView,
)
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("schedules:read")]
Writer = Annotated[Principal, require_permission("schedules:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])


@router.get("", response_model=PageSchema[ScheduleView])
def list_schedules(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[ScheduleView]:
    """Schedules of the tenant and of `public`, by name; for operators also the platform's own."""
    return service.list_schedules(database, principal, after, limit)


@router.post("", status_code=201)
def create_schedule(principal: Writer, database: OwnDatabase, body: ScheduleCreate) -> ScheduleView:
    """Put a task on a schedule. Effective within a second."""
    return service.create_schedule(database, principal, body)


@router.get("/{schedule_id}")
def get_schedule(principal: Reader, database: OwnDatabase, schedule_id: UUID) -> ScheduleView:
    """One schedule."""
    return service.get_schedule(database, principal, schedule_id)


@router.patch("/{schedule_id}")
def change_schedule(
    principal: Writer, database: OwnDatabase, schedule_id: UUID, patch: SchedulePatch
) -> ScheduleView:
    """Change a schedule. Effective within a second; a changed timing starts anew."""
    return service.change_schedule(database, principal, schedule_id, patch)


@router.delete("/{schedule_id}", status_code=204)
def delete_schedule(principal: Writer, database: OwnDatabase, schedule_id: UUID) -> None:
    """Delete a schedule and its history."""
    service.delete_schedule(database, principal, schedule_id)


@router.post("/{schedule_id}/run", status_code=202)
def run_schedule(principal: Writer, database: OwnDatabase, schedule_id: UUID) -> FiringView:
    """Fire a schedule now, whether it is enabled or not."""
    return service.run_schedule(database, principal, schedule_id)


@router.get("/{schedule_id}/fires", response_model=PageSchema[FiringView])
def list_firings(
    principal: Reader,
    database: OwnDatabase,
    schedule_id: UUID,
    limit: Limit = 100,
    after: After = None,
) -> Page[FiringView]:
    """A schedule's firings, newest first."""
    return service.list_firings(database, principal, schedule_id, after, limit)
