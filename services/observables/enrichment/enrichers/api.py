"""The API of enrichers and their settings."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.observables.enrichment.enrichers import schemas, service
from services.observables.enrichment.enrichers.service import SettingChange
from shared.auth import Principal
from shared.web.app import database_of, json_response, require_permission

router = APIRouter(prefix="/v1", tags=["enrichment"])

Reader = Annotated[Principal, require_permission("enrichment:read")]
Configurer = Annotated[Principal, require_permission("enrichment:configure")]
EnricherName = Annotated[str, Path(max_length=100)]


@router.get("/enrichers", response_model=list[schemas.EnricherView])
def list_enrichers(request: Request, principal: Reader) -> Response:
    """List the remote enrichers, their settings, and the queues in front of them."""
    return json_response(service.overview(database_of(request), principal.tenant))


@router.patch("/enrichers/{name}", response_model=schemas.EnricherView)
def change_enricher(
    request: Request, principal: Configurer, name: EnricherName, patch: schemas.EnricherPatch
) -> Response:
    """Switch an enricher on or off; set its key, its plan's limits, and the TLP it may receive."""
    values = patch.model_dump(exclude_unset=True)
    key = values.pop("key", None)
    if "rate" in values:
        rate = values.pop("rate")
        values["rate_calls"] = rate["calls"] if rate else None
        values["rate_seconds"] = rate["seconds"] if rate else None
    if values.get("enabled", True) is None:
        values.pop("enabled")
    return _change(request, principal, name, SettingChange(values, key))


@router.delete("/enrichers/{name}/key", response_model=schemas.EnricherView)
def delete_key(request: Request, principal: Configurer, name: EnricherName) -> Response:
    """Delete the tenant's key."""
    return _change(request, principal, name, SettingChange({}, key={}))


def _change(request: Request, principal: Principal, name: str, change: SettingChange) -> Response:
    view = service.change_settings(
        database_of(request),
        request.app.state.settings,
        principal.tenant,
        principal.actor,
        name,
        change,
    )
    return json_response(view)
