"""The API of consumers, of what they hold, and of the formats that there are."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.observables.dissemination.consumers import schemas, service
from services.observables.list_formats.registry import list_formats
from shared.auth import Principal
from shared.pagination import Page
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["lists"])

Reader = Annotated[Principal, require_permission("lists:read")]
Publisher = Annotated[Principal, require_permission("lists:publish")]
After = Annotated[str | None, Query(max_length=2_000)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Value = Annotated[str, Query(min_length=1, max_length=8_192)]


@router.get("/list-consumers", response_model=schemas.ConsumerPage)
def list_consumers(
    request: Request, principal: Reader, after: After = None, limit: Limit = 100
) -> Page[schemas.ConsumerView]:
    """List the tenant's consumers, by name, with what each has."""
    return service.list_consumers(database_of(request), principal.tenant, after, limit)


@router.post("/list-consumers", response_model=schemas.ConsumerIssued, status_code=201)
def create_consumer(
    request: Request, principal: Publisher, body: schemas.ConsumerCreate
) -> schemas.ConsumerIssued:
    """Create a consumer; its token is shown this once."""
    return service.create_consumer(database_of(request), principal.tenant, principal.actor, body)


@router.get("/list-consumers/holders", response_model=schemas.Holders)
def list_holders(request: Request, principal: Reader, value: Value) -> schemas.Holders:
    """The consumers that still have a value, by what they fetched last."""
    return service.holders(database_of(request), principal.tenant, value)


@router.get("/list-consumers/{consumer_id}", response_model=schemas.ConsumerView)
def get_consumer(request: Request, principal: Reader, consumer_id: UUID) -> schemas.ConsumerView:
    """Show a consumer."""
    return service.get_consumer(database_of(request), principal.tenant, consumer_id)


@router.patch("/list-consumers/{consumer_id}", response_model=schemas.ConsumerView)
def change_consumer(
    request: Request, principal: Publisher, consumer_id: UUID, patch: schemas.ConsumerPatch
) -> schemas.ConsumerView:
    """Change a consumer; its token stays."""
    database = database_of(request)
    return service.change_consumer(database, principal.tenant, principal.actor, consumer_id, patch)


@router.post("/list-consumers/{consumer_id}/token", response_model=schemas.ConsumerIssued)
def renew_token(
    request: Request, principal: Publisher, consumer_id: UUID
) -> schemas.ConsumerIssued:
    """Give a consumer another token; the one before is valid no more."""
    database = database_of(request)
    return service.renew_token(database, principal.tenant, principal.actor, consumer_id)


@router.post("/list-consumers/{consumer_id}/revoke", response_model=schemas.ConsumerView)
def revoke_token(request: Request, principal: Publisher, consumer_id: UUID) -> schemas.ConsumerView:
    """Refuse a consumer's token from now on."""
    database = database_of(request)
    return service.revoke_token(database, principal.tenant, principal.actor, consumer_id)


@router.delete("/list-consumers/{consumer_id}", status_code=204)
def delete_consumer(request: Request, principal: Publisher, consumer_id: UUID) -> None:
    """Delete a consumer."""
    service.delete_consumer(database_of(request), principal.tenant, principal.actor, consumer_id)


@router.get("/list-formats", response_model=list[schemas.FormatView])
def show_formats(_principal: Reader) -> list[schemas.FormatView]:
    """The formats in which lists can be polled."""
    return [
        schemas.FormatView(
            name=each.name,
            summary=each.summary,
            media_type=each.media_type,
            types=sorted(each.types),
            options=dict(each.options),
        )
        for each in sorted(list_formats().values(), key=lambda each: each.name)
    ]
