"""Routes of feeds."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.feeds.subscriptions import service
from services.feeds.subscriptions.schemas import FeedCreate, FeedPage, FeedPatch, FeedView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["feeds"])

Reader = Annotated[Principal, require_permission("feeds:read")]
Writer = Annotated[Principal, require_permission("feeds:write")]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]


@router.get("/feeds")
def list_feeds(
    request: Request, principal: Reader, after: After = None, limit: Limit = 100
) -> FeedPage:
    """The tenant's feeds and the public ones."""
    page = service.list_feeds(database_of(request), principal.tenant, after, limit)
    return FeedPage.model_validate(page, from_attributes=True)


@router.post("/feeds", status_code=201)
def create_feed(request: Request, principal: Writer, feed: FeedCreate) -> FeedView:
    """Subscribe to a feed."""
    return FeedView.model_validate(service.create_feed(database_of(request), principal, feed))


@router.get("/feeds/{feed_id}")
def get_feed(request: Request, principal: Reader, feed_id: UUID) -> FeedView:
    """One feed."""
    return FeedView.model_validate(
        service.get_feed(database_of(request), principal.tenant, feed_id)
    )


@router.patch("/feeds/{feed_id}")
def change_feed(request: Request, principal: Writer, feed_id: UUID, feed: FeedPatch) -> FeedView:
    """Change a feed."""
    return FeedView.model_validate(
        service.change_feed(database_of(request), principal, feed_id, feed)
    )


@router.delete("/feeds/{feed_id}", status_code=204)
def delete_feed(request: Request, principal: Writer, feed_id: UUID) -> Response:
    """Unsubscribe."""
    service.delete_feed(database_of(request), principal, feed_id)
    return Response(status_code=204)
