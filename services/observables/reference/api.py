"""The routes of reference data."""

from typing import Annotated, Any

from fastapi import APIRouter, Request

from services.observables.reference import service
from services.observables.reference.schemas import Dataset
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]


@router.get("/reference", response_model=list[Dataset])
def list_reference(request: Request, principal: Reader) -> list[dict[str, Any]]:
    """The reference data that offline enrichers stand on, with its dates and licences."""
    return service.overview(database_of(request), principal.tenant)
