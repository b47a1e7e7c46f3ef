"""The routes of sources and of feed runs as they are stored here."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.observables.store import schemas, service
from services.observables.store.repository.upkeep import RunProgress, SourceRow
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]


@router.get("/sources", response_model=list[schemas.AssertingSourceView])
def list_sources(request: Request, principal: Reader) -> list[SourceRow]:
    """The sources this tenant sees."""
    return service.sources(database_of(request), principal.tenant)


@router.get("/runs/{run_id}", response_model=schemas.RunProgressView)
def get_run(request: Request, principal: Reader, run_id: UUID) -> RunProgress:
    """How much of a feed run is stored already."""
    return service.run_progress(database_of(request), principal.tenant, run_id)
