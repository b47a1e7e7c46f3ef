"""Routes of inhibitions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.inhibitions import service
from services.notifications.inhibitions.schemas import (
    InhibitionCreate,
    InhibitionDetail,
    InhibitionPatch,
    InhibitionPreview,
    InhibitionPreviewBody,
    InhibitionView,
)
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1/inhibitions", tags=["inhibitions"])


@router.get("", response_model=PageSchema[InhibitionView])
def list_inhibitions(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[InhibitionView]:
    """Inhibitions by name."""
    return service.list_inhibitions(database, principal, after, limit)


@router.post("", status_code=201)
def create_inhibition(
    principal: Writer, database: OwnDatabase, body: InhibitionCreate
) -> InhibitionView:
    """Create an inhibition: while its source fires, its targets with equal labels are held."""
    return service.create_inhibition(database, principal, body)


@router.post("/preview")
def preview_inhibition(
    principal: Reader, database: OwnDatabase, body: InhibitionPreviewBody
) -> InhibitionPreview:
    """What an inhibition would have held of the last hours. Nothing is stored."""
    return service.preview_inhibition(database, principal, body)


@router.get("/{inhibition_id}")
def get_inhibition(
    principal: Reader, database: OwnDatabase, inhibition_id: UUID
) -> InhibitionDetail:
    """One inhibition with what it holds now."""
    return service.get_inhibition(database, principal, inhibition_id)


@router.patch("/{inhibition_id}")
def change_inhibition(
    principal: Writer, database: OwnDatabase, inhibition_id: UUID, body: InhibitionPatch
) -> InhibitionView:
    """Change an inhibition. One that is switched off holds nothing any more."""
    return service.change_inhibition(database, principal, inhibition_id, body)


@router.delete("/{inhibition_id}", status_code=204)
def delete_inhibition(principal: Writer, database: OwnDatabase, inhibition_id: UUID) -> None:
    """Delete an inhibition; what it holds is summed up now."""
    service.delete_inhibition(database, principal, inhibition_id)
