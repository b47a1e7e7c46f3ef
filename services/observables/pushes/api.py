"""Routes that configure pushes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.observables.pushes import service
from services.observables.pushes.schemas import PushCreate, PushPatch, PushView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["collections"])

Reader = Annotated[Principal, require_permission("collections:read")]
Configurer = Annotated[Principal, require_permission("collections:configure")]


@router.get("/pushes", response_model=list[PushView])
def list_pushes(request: Request, principal: Reader) -> list[PushView]:
    """The tenant's pushes, the oldest first."""
    rows = service.overview(database_of(request), principal.tenant)
    return [service.view_of(row, end) for row, end in rows]


@router.post("/pushes", response_model=PushView, status_code=201)
def create_push(request: Request, principal: Configurer, body: PushCreate) -> PushView:
    """Push a collection to another system, all of it first, then what is new."""
    return service.view_of(
        *service.create(
            database_of(request),
            request.app.state.settings,
            principal.tenant,
            principal.actor,
            body,
        )
    )


@router.get("/pushes/{push_id}", response_model=PushView)
def get_push(request: Request, principal: Reader, push_id: UUID) -> PushView:
    """One push, how far it is, and why its last attempt failed."""
    return service.view_of(*service.get(database_of(request), principal.tenant, push_id))


@router.patch("/pushes/{push_id}", response_model=PushView)
def change_push(
    request: Request, principal: Configurer, push_id: UUID, patch: PushPatch
) -> PushView:
    """Change a push; one that waits after a failure is tried again at once."""
    return service.view_of(
        *service.change(
            database_of(request),
            request.app.state.settings,
            principal.tenant,
            principal.actor,
            push_id,
            patch,
        )
    )


@router.delete("/pushes/{push_id}", status_code=204)
def delete_push(request: Request, principal: Configurer, push_id: UUID) -> None:
    """Delete a push; its target keeps what it has."""
    service.delete(database_of(request), principal.tenant, principal.actor, push_id)
