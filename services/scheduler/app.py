"""The scheduler's HTTP API."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query

from services.scheduler.schedules import service
from services.scheduler.schedules.schemas import (
    Beat,
    Fire,
    Page,
    Schedule,
    ScheduleCreate,
    SchedulePatch,
)
from shared.auth import Principal
from shared.database import Database
from shared.settings import Settings
from shared.web.app import create_api, database_of, require_permission

router = APIRouter(prefix="/v1", tags=["schedules"])

Reader = Annotated[Principal, require_permission("schedules:read")]
Writer = Annotated[Principal, require_permission("schedules:write")]
Operator = Annotated[Principal, require_permission("platform:reconcile")]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]


Own = Annotated[Database, Depends(database_of)]


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The scheduler's API."""
    return create_api("scheduler", "scheduler", [router], settings, database)


@router.get("/schedules")
def list_schedules(
    who: Reader, own: Own, limit: Limit = 100, after: After = None
) -> Page[Schedule]:
    """Schedules of the tenant and of `public`, by name; for operators also the platform's own."""
    return service.list_schedules(own, who, after, limit)


@router.post("/schedules", status_code=201)
def create_schedule(who: Writer, own: Own, wanted: ScheduleCreate) -> Schedule:
    """Put a task on a schedule. Effective within a second."""
    return service.create_schedule(own, who, wanted)


@router.get("/schedules/{schedule_id}")
def get_schedule(who: Reader, own: Own, schedule_id: UUID) -> Schedule:
    """One schedule."""
    return service.get_schedule(own, who, schedule_id)


@router.patch("/schedules/{schedule_id}")
def change_schedule(who: Writer, own: Own, schedule_id: UUID, patch: SchedulePatch) -> Schedule:
    """Change a schedule. Effective within a second; a changed timing starts anew."""
    return service.change_schedule(own, who, schedule_id, patch)


@router.delete("/schedules/{schedule_id}", status_code=204)
def delete_schedule(who: Writer, own: Own, schedule_id: UUID) -> None:
    """Delete a schedule and its history."""
    service.delete_schedule(own, who, schedule_id)


@router.post("/schedules/{schedule_id}/run", status_code=202)
def run_schedule(who: Writer, own: Own, schedule_id: UUID) -> Fire:
    """Fire a schedule now, whether it is enabled or not."""
    return service.run_schedule(own, who, schedule_id)


@router.get("/schedules/{schedule_id}/fires")
def list_fires(
    who: Reader, own: Own, schedule_id: UUID, limit: Limit = 100, after: After = None
) -> Page[Fire]:
    """A schedule's firings, newest first."""
    return service.list_fires(own, who, schedule_id, after, limit)


@router.get("/beats", tags=["operations"])
def list_beats(_who: Operator, own: Own) -> Page[Beat]:
    """The Beats of the last day, the liveliest first: is one alive, and when did it last fire?"""
    return service.list_beats(own)


@router.post("/reconcile", tags=["operations"])
def reconcile(_who: Operator, own: Own) -> dict[str, int | str]:
    """Nothing to enqueue: Beat itself sends pending firings, `pending` of them right now."""
    return {"status": "ok", "enqueued": 0, "pending": service.count_pending(own)}
