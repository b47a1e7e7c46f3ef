"""Routes of Beats, for operators."""

from typing import Annotated

from fastapi import APIRouter, Depends

from services.scheduler.beat import service
from services.scheduler.beat.schemas import BeatView, PendingFiringsView
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Operator = Annotated[Principal, require_permission("platform:reconcile")]
OwnDatabase = Annotated[Database, Depends(database_of)]

router = APIRouter(prefix="/v1", tags=["operations"])


@router.get("/beats", response_model=PageSchema[BeatView])
def list_beats(_principal: Operator, database: OwnDatabase) -> Page[BeatView]:
    """The Beats of the last day, those with the newest tick first."""
    return service.list_beats(database)


@router.post("/reconcile")
def reconcile(_principal: Operator, database: OwnDatabase) -> PendingFiringsView:
    """Nothing to enqueue: Beat itself sends pending firings, `pending` of them right now."""
    return service.reconcile(database)
