"""Routes that configure collections."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.observables.taxii import service
from services.observables.taxii.models import CollectionRow
from services.observables.taxii.protocol_errors import PREFIX
from services.observables.taxii.schemas import CollectionCreate, CollectionPatch, CollectionView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["collections"])

Reader = Annotated[Principal, require_permission("collections:read")]
Configurer = Annotated[Principal, require_permission("collections:configure")]


@router.get("/collections", response_model=list[CollectionView])
def list_collections(request: Request, principal: Reader) -> list[CollectionView]:
    """The tenant's collections, the oldest first."""
    return [_view(row) for row in service.overview(database_of(request), principal.tenant)]


@router.post("/collections", response_model=CollectionView, status_code=201)
def create_collection(
    request: Request, principal: Configurer, body: CollectionCreate
) -> CollectionView:
    """Create a collection, which a list fills or clients write into."""
    return _view(service.create(database_of(request), principal.tenant, principal.actor, body))


@router.get("/collections/{collection_id}", response_model=CollectionView)
def get_collection(request: Request, principal: Reader, collection_id: UUID) -> CollectionView:
    """One collection."""
    tenant = principal.tenant
    return _view(service.get(database_of(request), tenant, tenant, collection_id))


@router.patch("/collections/{collection_id}", response_model=CollectionView)
def change_collection(
    request: Request, principal: Configurer, collection_id: UUID, patch: CollectionPatch
) -> CollectionView:
    """Change a collection."""
    values = {
        name: value
        for name, value in patch.model_dump(exclude_unset=True).items()
        if value is not None
    }
    return _view(
        service.change(
            database_of(request), principal.tenant, principal.actor, collection_id, values
        )
    )


@router.delete("/collections/{collection_id}", status_code=204)
def delete_collection(request: Request, principal: Configurer, collection_id: UUID) -> None:
    """Delete a collection with everything in it; the list that fills it stays."""
    service.delete(database_of(request), principal.tenant, principal.actor, collection_id)


def _view(row: CollectionRow) -> CollectionView:
    path = f"{PREFIX}/{row.tenant}/collections/{row.id}/"
    fields = {
        name: getattr(row, name) for name in row._fields if name in CollectionView.model_fields
    }
    return CollectionView(**fields, path=path)
