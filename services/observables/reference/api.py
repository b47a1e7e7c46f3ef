"""The routes of reference data."""

from typing import Annotated

from fastapi import APIRouter, Request

from services.observables.reference import service
from services.observables.reference.schemas import DatasetView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]


@router.get("/reference", response_model=list[DatasetView])
def list_reference(request: Request, principal: Reader) -> list[service.DatasetOverview]:
    """The reference data that offline enrichers stand on, with its dates and licences."""
    return service.list_datasets(database_of(request), principal.tenant)
