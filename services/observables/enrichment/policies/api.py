"""The API of enrichment policies."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.observables.enrichment.policies import dry_run, schemas, service
from services.observables.enrichment.policies.dry_run import PastMatches
from shared.auth import Principal
from shared.web.app import database_of, json_response, require_permission

router = APIRouter(prefix="/v1", tags=["enrichment"])

Reader = Annotated[Principal, require_permission("enrichment:read")]
Configurer = Annotated[Principal, require_permission("enrichment:configure")]
Days = Annotated[int, Query(ge=1, le=dry_run.MOST_DAYS, description="how many days back")]


@router.get("/enrichment-policies", response_model=list[schemas.PolicyView])
def list_policies(request: Request, principal: Reader) -> Response:
    """List the tenant's policies, the oldest first.

    A query that two policies would send is sent by the older one.
    """
    return json_response(service.overview(database_of(request), principal.tenant))


@router.post("/enrichment-policies", response_model=schemas.PolicyView, status_code=201)
def create_policy(
    request: Request, principal: Configurer, policy: schemas.PolicyCreate
) -> Response:
    """Create a policy."""
    database = database_of(request)
    view = service.create(database, principal.tenant, principal.actor, policy)
    return json_response(view, 201)


@router.post("/enrichment-policies/dry-run", response_model=schemas.PolicyForecast)
async def try_policy(
    request: Request, principal: Reader, policy: schemas.PolicyCreate, days: Days = 1
) -> Response:
    """Forecast what a new policy would have asked in the last days."""
    database = database_of(request)
    environment = request.app.state.settings
    draft = service.draft(policy)
    past = await dry_run.match_past(database, environment, principal.tenant, draft, days)
    forecast = await asyncio.to_thread(dry_run.forecast, database, principal.tenant, past)
    return json_response(forecast)


@router.patch("/enrichment-policies/{policy_id}", response_model=schemas.PolicyView)
def change_policy(
    request: Request, principal: Configurer, policy_id: UUID, patch: schemas.PolicyPatch
) -> Response:
    """Change a policy."""
    values = {
        name: value
        for name, value in patch.model_dump(exclude_unset=True).items()
        if value is not None or name == "daily_budget"
    }
    database = database_of(request)
    view = service.change(database, principal.tenant, principal.actor, policy_id, values)
    return json_response(view)


@router.delete("/enrichment-policies/{policy_id}", status_code=204)
def delete_policy(request: Request, principal: Configurer, policy_id: UUID) -> None:
    """Delete a policy; its jobs stay."""
    service.delete(database_of(request), principal.tenant, principal.actor, policy_id)


@router.post("/enrichment-policies/{policy_id}/dry-run", response_model=schemas.PolicyForecast)
async def forecast_policy(
    request: Request, principal: Reader, policy_id: UUID, days: Days = 1
) -> Response:
    """Forecast what a policy would have asked in the last days."""
    past = await _match_past(request, principal.tenant, policy_id, days)
    forecast = await asyncio.to_thread(
        dry_run.forecast, database_of(request), principal.tenant, past
    )
    return json_response(forecast)


@router.post(
    "/enrichment-policies/{policy_id}/apply",
    response_model=schemas.AppliedPolicy,
    status_code=202,
)
async def apply_policy(
    request: Request, principal: Configurer, policy_id: UUID, days: Days = 1
) -> Response:
    """Ask now what a policy would have asked in the last days."""
    past = await _match_past(request, principal.tenant, policy_id, days)
    stored = await asyncio.to_thread(
        dry_run.apply,
        database_of(request),
        principal.tenant,
        principal.actor,
        policy_id,
        past,
    )
    return json_response({"queries": stored}, 202)


async def _match_past(request: Request, tenant: str, policy_id: UUID, days: int) -> PastMatches:
    database = database_of(request)
    environment = request.app.state.settings
    policy = await asyncio.to_thread(service.get, database, tenant, policy_id)
    return await dry_run.match_past(database, environment, tenant, policy, days)
