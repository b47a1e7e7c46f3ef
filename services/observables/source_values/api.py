"""Routes of what sources are worth."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.observables.source_values import service
from services.observables.source_values.schemas import SourceCost, SourceValueReport
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]
Configurator = Annotated[Principal, require_permission("feeds:write")]


@router.get("/source-values", response_model=SourceValueReport)
def report_source_values(request: Request, principal: Reader) -> SourceValueReport:
    """What each source is worth: what it alone lists, who is first, what they share."""
    return service.report_values(database_of(request), principal.tenant)


@router.put("/sources/{source_id}/cost", response_model=SourceCost)
def set_source_cost(
    request: Request, principal: Configurator, source_id: UUID, body: SourceCost
) -> SourceCost:
    """State what a source costs this tenant in a year."""
    return service.set_cost(
        database_of(request), principal.tenant, principal.actor, source_id, body
    )
