"""Routes of API keys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from services.gateway.api_keys import service
from services.gateway.api_keys.schemas import (
    ApiKeyCreate,
    ApiKeyRotation,
    ApiKeyView,
    NewApiKey,
)
from shared.auth import Principal
from shared.database import Database
from shared.keys import Keys, keys_of
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Person = Annotated[Principal, require_permission("account:use")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]
KeyId = Annotated[str, Path(max_length=36, pattern=r"^[0-9A-Za-z-]+$")]

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])


def _keys(request: Request) -> Keys:
    return keys_of(request.app.state.settings)


OwnKeys = Annotated[Keys, Depends(_keys)]


@router.get("", response_model=PageSchema[ApiKeyView])
def list_keys(
    principal: Person, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[ApiKeyView]:
    """Your API keys in the tenant; all of the tenant for admins. Never the keys themselves."""
    return service.list_keys(database, principal, after, limit)


@router.post("", status_code=201)
def create_key(
    principal: Person, database: OwnDatabase, keys: OwnKeys, body: ApiKeyCreate
) -> NewApiKey:
    """Make an API key that acts as you; it is shown once."""
    return service.create_key(database, keys, principal, body)


@router.delete("/{key_id}", status_code=204)
def revoke_key(principal: Person, database: OwnDatabase, key_id: KeyId) -> None:
    """Accept a key no more."""
    service.revoke_key(database, principal, key_id)


@router.post("/{key_id}/rotate", status_code=201)
def rotate_key(
    principal: Person,
    database: OwnDatabase,
    keys: OwnKeys,
    key_id: KeyId,
    body: ApiKeyRotation,
) -> NewApiKey:
    """Replace a key by a new one for the same, which is shown once; the old one goes on a while."""
    return service.rotate_key(database, keys, principal, key_id, body)
