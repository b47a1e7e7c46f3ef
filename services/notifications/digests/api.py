"""Routes of digests."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.digests import service
from services.notifications.digests.schemas import DigestCreate, DigestPatch, DigestView
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1/digests", tags=["digests"])


@router.get("", response_model=PageSchema[DigestView])
def list_digests(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[DigestView]:
    """Digests by name."""
    return service.list_digests(database, principal, after, limit)


@router.post("", status_code=201)
def create_digest(principal: Writer, database: OwnDatabase, body: DigestCreate) -> DigestView:
    """Create a digest."""
    return service.create_digest(database, principal, body)


@router.get("/{digest_id}")
def get_digest(principal: Reader, database: OwnDatabase, digest_id: UUID) -> DigestView:
    """One digest."""
    return service.get_digest(database, principal, digest_id)


@router.patch("/{digest_id}")
def change_digest(
    principal: Writer, database: OwnDatabase, digest_id: UUID, body: DigestPatch
) -> DigestView:
    """Change a digest."""
    return service.change_digest(database, principal, digest_id, body)


@router.delete("/{digest_id}", status_code=204)
def delete_digest(principal: Writer, database: OwnDatabase, digest_id: UUID) -> None:
    """Delete a digest that no rule waits for."""
    service.delete_digest(database, principal, digest_id)
