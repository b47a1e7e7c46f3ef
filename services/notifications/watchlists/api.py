"""Routes of watchlists."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.watchlists import service
from services.notifications.watchlists.schemas import (
    CsvBody,
    EntriesBody,
    EntryView,
    WatchlistCreate,
    WatchlistPatch,
    WatchlistView,
)
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=5000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1/watchlists", tags=["watchlists"])


@router.get("", response_model=PageSchema[WatchlistView])
def list_watchlists(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[WatchlistView]:
    """Watchlists by name."""
    return service.list_watchlists(database, principal, after, limit)


@router.post("", status_code=201)
def create_watchlist(
    principal: Writer, database: OwnDatabase, body: WatchlistCreate
) -> WatchlistView:
    """Create a watchlist."""
    return service.create_watchlist(database, principal, body)


@router.get("/{watchlist_id}")
def get_watchlist(principal: Reader, database: OwnDatabase, watchlist_id: UUID) -> WatchlistView:
    """One watchlist."""
    return service.get_watchlist(database, principal, watchlist_id)


@router.patch("/{watchlist_id}")
def change_watchlist(
    principal: Writer, database: OwnDatabase, watchlist_id: UUID, body: WatchlistPatch
) -> WatchlistView:
    """Change its description."""
    return service.change_watchlist(database, principal, watchlist_id, body)


@router.delete("/{watchlist_id}", status_code=204)
def delete_watchlist(principal: Writer, database: OwnDatabase, watchlist_id: UUID) -> None:
    """Delete a watchlist that no filter refers to."""
    service.delete_watchlist(database, principal, watchlist_id)


@router.get("/{watchlist_id}/entries", response_model=PageSchema[EntryView])
def list_entries(
    principal: Reader,
    database: OwnDatabase,
    watchlist_id: UUID,
    limit: Limit = 100,
    after: After = None,
) -> Page[EntryView]:
    """Entries by kind and value."""
    return service.list_entries(database, principal, watchlist_id, after, limit)


@router.post("/{watchlist_id}/entries")
def add_entries(
    principal: Writer, database: OwnDatabase, watchlist_id: UUID, body: EntriesBody
) -> WatchlistView:
    """Add entries, 10,000 at most."""
    return service.add_entries(database, principal, watchlist_id, body)


@router.post("/{watchlist_id}/entries/remove")
def remove_entries(
    principal: Writer, database: OwnDatabase, watchlist_id: UUID, body: EntriesBody
) -> WatchlistView:
    """Remove entries."""
    return service.remove_entries(database, principal, watchlist_id, body)


@router.post("/{watchlist_id}/import")
def import_csv(
    principal: Writer, database: OwnDatabase, watchlist_id: UUID, body: CsvBody
) -> WatchlistView:
    """Add the entries of a CSV document, or replace all by them. One wrong row changes nothing."""
    return service.import_csv(database, principal, watchlist_id, body)
