"""The routes of trends."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.observables.trends import service
from services.observables.trends.repository import StoredTrend
from services.observables.trends.schemas import TrendKind, TrendPage
from shared.auth import Principal
from shared.pagination import Page
from shared.timestamps import Timestamp
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]
After = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/trends", response_model=TrendPage)
def list_trends(
    request: Request,
    principal: Reader,
    kind: TrendKind | None = None,
    since: Timestamp | None = None,
    after: After = None,
    limit: Limit = 100,
) -> Page[StoredTrend]:
    """Bursts and rises, the newest first."""
    return service.list_trends(database_of(request), principal.tenant, kind, since, after, limit)
