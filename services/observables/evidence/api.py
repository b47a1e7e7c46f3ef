"""The route of evidence about sources."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Request

from services.observables.evidence import service
from services.observables.evidence.schemas import SourcePairView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]


@router.get("/source-pairs", response_model=list[SourcePairView])
def list_source_pairs(request: Request, principal: Reader) -> list[sa.Row[Any]]:
    """Pairs of sources of which one probably copies the other, the most probable first."""
    return service.list_pairs(database_of(request), principal.tenant)
