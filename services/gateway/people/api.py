"""Routes of tenants, members and invitations."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request

from services.gateway.people import service
from services.gateway.people.schemas import (
    FreezePatch,
    InvitationCreate,
    InvitationLink,
    InvitationView,
    MemberPatch,
    MemberView,
    TenantCreate,
    TenantView,
)
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.tenants import MAX_NAME_LENGTH
from shared.web.app import database_of, require_permission

Operator = Annotated[Principal, require_permission("tenants:write")]
Reader = Annotated[Principal, require_permission("members:read")]
Writer = Annotated[Principal, require_permission("members:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]
TenantPath = Annotated[str, Path(max_length=MAX_NAME_LENGTH)]

router = APIRouter(prefix="/v1", tags=["people"])


def _base_url(request: Request) -> str:
    return str(request.app.state.settings.service_url("gateway"))


BaseUrl = Annotated[str, Depends(_base_url)]


@router.get("/tenants", response_model=PageSchema[TenantView])
def list_tenants(
    _principal: Operator, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[TenantView]:
    """All tenants by name."""
    return service.list_tenants(database, after, limit)


@router.post("/tenants", status_code=201)
def create_tenant(principal: Operator, database: OwnDatabase, body: TenantCreate) -> TenantView:
    """Create a tenant."""
    return service.create_tenant(database, principal, body)


@router.patch("/tenants/{tenant}")
def change_tenant(
    principal: Operator, database: OwnDatabase, tenant: TenantPath, body: FreezePatch
) -> TenantView:
    """Freeze a tenant, or let it act again."""
    return service.freeze_tenant(database, principal, tenant, frozen=body.frozen)


@router.get("/members", response_model=PageSchema[MemberView])
def list_members(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[MemberView]:
    """The members of the tenant by login."""
    return service.list_members(database, principal, after, limit)


@router.patch("/members/{person_id}")
def change_member(
    principal: Writer, database: OwnDatabase, person_id: UUID, body: MemberPatch
) -> MemberView:
    """Change a member's role, or freeze the member in this tenant."""
    return service.change_member(database, principal, person_id, body)


@router.delete("/members/{person_id}", status_code=204)
def remove_member(principal: Writer, database: OwnDatabase, person_id: UUID) -> None:
    """End a person's membership; sessions and API keys act in this tenant no more."""
    service.remove_member(database, principal, person_id)


@router.post("/members/{person_id}/reset", status_code=201)
def let_reset(
    principal: Writer, database: OwnDatabase, base_url: BaseUrl, person_id: UUID
) -> InvitationLink:
    """Make a link with which a member chooses a new password within an hour."""
    return service.let_reset(database, principal, base_url, person_id)


@router.get("/invitations", response_model=PageSchema[InvitationView])
def list_invitations(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[InvitationView]:
    """The invitations of the tenant, newest first."""
    return service.list_invitations(database, principal, after, limit)


@router.post("/invitations", status_code=201)
def invite(
    principal: Writer, database: OwnDatabase, base_url: BaseUrl, body: InvitationCreate
) -> InvitationLink:
    """Invite a person with a role; the link is shown once."""
    return service.invite(database, principal, base_url, body)


@router.delete("/invitations/{invitation_id}", status_code=204)
def withdraw_invitation(principal: Writer, database: OwnDatabase, invitation_id: UUID) -> None:
    """Withdraw an invitation."""
    service.withdraw_invitation(database, principal, invitation_id)
