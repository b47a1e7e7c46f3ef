"""Routes of the catalog."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from services.feeds.catalog import service
from services.feeds.catalog.schemas import CatalogEntry, CatalogPage, CatalogSubscription
from services.feeds.subscriptions.schemas import FeedView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["feeds"])

Reader = Annotated[Principal, require_permission("feeds:read")]
Writer = Annotated[Principal, require_permission("feeds:write")]
Slug = Annotated[str, Path(max_length=100)]


@router.get("/catalogue")
def list_entries(_principal: Reader) -> CatalogPage:
    """The public feeds that come with SentinelIQ."""
    return CatalogPage(items=list(service.list_entries()))


@router.get("/catalogue/{slug}")
def get_entry(_principal: Reader, slug: Slug) -> CatalogEntry:
    """One of them, with its licence, its provider's page and known trouble."""
    return service.get_entry(slug)


@router.post("/catalogue/{slug}/subscribe", status_code=201)
def subscribe(
    request: Request, principal: Writer, slug: Slug, subscription: CatalogSubscription
) -> FeedView:
    """Subscribe to it."""
    feed = service.subscribe(database_of(request), principal, slug, subscription)
    return FeedView.model_validate(feed)
