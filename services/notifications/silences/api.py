"""Routes of silences."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.silences import service
from services.notifications.silences.schemas import (
    SilenceCreate,
    SilenceDetail,
    SilencePatch,
    SilencePreview,
    SilencePreviewBody,
    SilenceView,
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

router = APIRouter(prefix="/v1/silences", tags=["silences"])


@router.get("", response_model=PageSchema[SilenceView])
def list_silences(
    principal: Reader,
    database: OwnDatabase,
    active: bool | None = None,
    limit: Limit = 100,
    after: After = None,
) -> Page[SilenceView]:
    """Silences, newest first."""
    return service.list_silences(database, principal, after, limit, is_active=active)


@router.post("", status_code=201)
def create_silence(principal: Writer, database: OwnDatabase, body: SilenceCreate) -> SilenceView:
    """Plan a silence: what it holds is summed up once, when it ends."""
    return service.create_silence(database, principal, body)


@router.post("/preview")
def preview_silence(
    principal: Reader, database: OwnDatabase, body: SilencePreviewBody
) -> SilencePreview:
    """What of the matches of the last hours a silence would have held. Nothing is stored."""
    return service.preview_silence(database, principal, body)


@router.get("/{silence_id}")
def get_silence(principal: Reader, database: OwnDatabase, silence_id: UUID) -> SilenceDetail:
    """One silence with the number of matches that it has held."""
    return service.get_silence(database, principal, silence_id)


@router.patch("/{silence_id}")
def change_silence(
    principal: Writer, database: OwnDatabase, silence_id: UUID, body: SilencePatch
) -> SilenceView:
    """Change the reason or the end of a silence."""
    return service.change_silence(database, principal, silence_id, body)


@router.post("/{silence_id}/end")
def end_silence(principal: Writer, database: OwnDatabase, silence_id: UUID) -> SilenceView:
    """End a silence now; what it holds is summed up at once."""
    return service.end_silence(database, principal, silence_id)
