"""The API of lists and of protected values."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from services.observables.dissemination.lists import explanation, release, schemas, service
from services.observables.dissemination.lists.models import ProtectedRow
from shared.auth import Principal
from shared.pagination import Page
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["lists"])

Reader = Annotated[Principal, require_permission("lists:read")]
Writer = Annotated[Principal, require_permission("lists:write")]
Number = Annotated[int, Query(ge=0, le=2**62)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
After = Annotated[str | None, Query(max_length=2_000)]
Value = Annotated[str, Query(min_length=1, max_length=8_192)]


@router.get("/lists", response_model=schemas.ListPage)
def list_lists(
    request: Request, principal: Reader, after: After = None, limit: Limit = 100
) -> Page[schemas.ListView]:
    """List the tenant's lists, by name."""
    return service.list_lists(database_of(request), principal.tenant, after, limit)


@router.post("/lists", response_model=schemas.ListView, status_code=201)
def create_list(request: Request, principal: Writer, body: schemas.ListCreate) -> schemas.ListView:
    """Create a list; its members are selected within seconds."""
    _check_collection(principal, body.is_collection)
    return service.create_list(database_of(request), principal.tenant, principal.actor, body)


def _check_collection(principal: Principal, is_collection: bool | None) -> None:
    """A list that TAXII offers makes a collection, for which a permission of its own is needed."""
    if is_collection:
        principal.require("collections:configure")


@router.get("/lists/{list_id}", response_model=schemas.ListView)
def get_list(request: Request, principal: Reader, list_id: UUID) -> schemas.ListView:
    """Show a list."""
    return service.get_list(database_of(request), principal.tenant, list_id)


@router.patch("/lists/{list_id}", response_model=schemas.ListView)
def change_list(
    request: Request, principal: Writer, list_id: UUID, patch: schemas.ListPatch
) -> schemas.ListView:
    """Change a list."""
    _check_collection(principal, patch.is_collection)
    database = database_of(request)
    return service.change_list(database, principal.tenant, principal.actor, list_id, patch)


@router.delete("/lists/{list_id}", status_code=204)
def delete_list(request: Request, principal: Writer, list_id: UUID) -> None:
    """Delete a list with its history."""
    service.delete_list(database_of(request), principal.tenant, principal.actor, list_id)


@router.get("/lists/{list_id}/changes", response_model=schemas.ChangePage)
def list_changes(
    request: Request, principal: Reader, list_id: UUID, after: Number = 0, limit: Limit = 100
) -> schemas.ChangePage:
    """What joined and left behind a version, in order."""
    return service.changes_page(database_of(request), principal.tenant, list_id, after, limit)


@router.get("/lists/{list_id}/diff", response_model=schemas.ListDifference)
def compare_versions(
    request: Request, principal: Reader, list_id: UUID, before: Number, after: Number
) -> schemas.ListDifference:
    """What joined and left between two versions, each observable once."""
    return service.difference(database_of(request), principal.tenant, list_id, before, after)


@router.get("/lists/{list_id}/entries", response_model=schemas.EntryPage)
def list_entries(
    request: Request,
    principal: Reader,
    list_id: UUID,
    as_of: Annotated[AwareDatetime | None, Query()] = None,
    after: After = None,
    limit: Limit = 100,
) -> schemas.EntryPage:
    """Entries of the published version, or as of a moment."""
    moment: datetime | None = as_of
    return service.entries_page(
        database_of(request), principal.tenant, list_id, moment, after, limit
    )


@router.get("/lists/{list_id}/why", response_model=schemas.Explanations)
def explain_value(
    request: Request, principal: Reader, list_id: UUID, value: Value
) -> schemas.Explanations:
    """Why a value is in a list, or is not."""
    return explanation.explain_value(database_of(request), principal.tenant, list_id, value)


@router.post("/lists/{list_id}/release", response_model=schemas.ListView)
def release_list(request: Request, principal: Writer, list_id: UUID) -> schemas.ListView:
    """Let the newest version of a stopped list leave, and take its size as normal."""
    return release.release_list(database_of(request), principal.tenant, principal.actor, list_id)


@router.get("/protected-values", response_model=list[schemas.ProtectedView])
def list_protected_values(request: Request, principal: Reader) -> list[ProtectedRow]:
    """List the names and networks that no list of the tenant may have."""
    return service.protected_values(database_of(request), principal.tenant)


@router.post("/protected-values", response_model=schemas.ProtectedView, status_code=201)
def protect_value(
    request: Request, principal: Writer, body: schemas.ProtectedCreate
) -> ProtectedRow:
    """Keep a name or network out of all lists of the tenant."""
    return service.protect_value(database_of(request), principal.tenant, principal.actor, body)


@router.delete("/protected-values", status_code=204)
def unprotect_value(request: Request, principal: Writer, value: Value) -> None:
    """Protect a name or network no more."""
    service.unprotect_value(database_of(request), principal.tenant, principal.actor, value)
