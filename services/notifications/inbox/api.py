"""Routes of the inbox."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.inbox import service
from services.notifications.inbox.schemas import InboxCount, InboxItem
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]
Until = Annotated[UUID, Query(description="The newest message that you have seen.")]

router = APIRouter(prefix="/v1/inbox", tags=["inbox"])


@router.get("", response_model=PageSchema[InboxItem])
def list_inbox(
    principal: Reader,
    database: OwnDatabase,
    unread: bool = False,
    limit: Limit = 100,
    after: After = None,
) -> Page[InboxItem]:
    """Messages of channels of the kind inbox, newest first."""
    return service.list_inbox(database, principal, after, limit, only_unread=unread)


@router.get("/count")
def count_unread(principal: Reader, database: OwnDatabase) -> InboxCount:
    """How many messages you have not read."""
    return service.count_unread(database, principal)


@router.post("/read")
def mark_all(principal: Reader, database: OwnDatabase, until: Until) -> InboxCount:
    """Mark all messages up to one as read, for you."""
    return service.mark_all(database, principal, until)


@router.post("/{delivery_id}/read")
def mark_message(principal: Reader, database: OwnDatabase, delivery_id: UUID) -> InboxCount:
    """Mark a message as read, for you."""
    return service.mark_message(database, principal, delivery_id)
