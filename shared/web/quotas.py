"""The routes of quotas: what a tenant may use of a service, and what it uses."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from shared.auth import Principal, Role
from shared.database import PLATFORM, Database
from shared.errors import Forbidden, InvalidInput
from shared.events.audit import FieldChange
from shared.kafka.outbox import audit
from shared.quotas import (
    MAX_LIMIT,
    Quota,
    list_states,
    list_tenants,
    quota_named,
    set_limit,
)
from shared.tenants import is_tenant
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1/quotas", tags=["quotas"])

Reader = Annotated[Principal, require_permission("quotas:read")]
Writer = Annotated[Principal, require_permission("quotas:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
TenantName = Annotated[str, Path(max_length=100)]
QuotaName = Annotated[str, Path(max_length=100, description="as `GET /v1/quotas` names it")]


class QuotaView(BaseModel):
    """A quota of a tenant as it stands."""

    model_config = ConfigDict(from_attributes=True)

    tenant: str
    name: str
    unit: str
    limit: int | None = Field(description="null where there is none")
    is_default: bool = Field(description="no operator has set it")
    used: int
    free_at: datetime | None = Field(description="when what is used is free again, in time")


class QuotaPage(BaseModel):
    """Quotas of a tenant, or of several."""

    items: list[QuotaView]


class QuotaLimit(BaseModel):
    """A limit to set."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=0, le=MAX_LIMIT)] | None = Field(
        description="null lets the default hold again"
    )


def offer_quotas(app: FastAPI, quotas: Sequence[Quota]) -> None:
    """Tell the routes which quotas their service has."""
    app.state.quotas = tuple(quotas)


@router.get("")
def get_quotas(
    request: Request,
    principal: Reader,
    database: OwnDatabase,
    tenant: Annotated[
        str | None, Query(max_length=100, description="for operators: another tenant")
    ] = None,
) -> QuotaPage:
    """The tenant's quotas; for operators also those of the tenants that have limits of their own.

    Operators name any other tenant by `tenant`.
    """
    if tenant is not None and tenant != principal.tenant and principal.role < Role.operator:
        raise Forbidden("Only operators read the quotas of other tenants.")
    quotas: Iterable[Quota] = request.app.state.quotas
    is_operator = principal.role >= Role.operator
    with database.transaction(PLATFORM if is_operator else principal.tenant) as session:
        tenants = [tenant or principal.tenant]
        if tenant is None and is_operator:
            tenants = sorted({*tenants, *list_tenants(session)})
        states = [state for name in tenants for state in list_states(session, name, quotas)]
    return QuotaPage(items=[QuotaView.model_validate(state) for state in states])


@router.put("/{tenant}/{name}")
def put_quota(
    request: Request,
    principal: Writer,
    database: OwnDatabase,
    tenant: TenantName,
    name: QuotaName,
    body: QuotaLimit,
) -> QuotaView:
    """Set the limit of a tenant. What it has already stays, also if that is more."""
    if not is_tenant(tenant):
        raise InvalidInput("That is no tenant's name.", field="tenant")
    quota = quota_named(request.app.state.quotas, name)
    with database.transaction(PLATFORM) as session:
        before = set_limit(session, tenant, quota, body.limit, principal.actor)
        [state] = list_states(session, tenant, [quota])
        changes = {"limit": FieldChange(before, state.limit)}
        audit(
            session,
            database.service,
            principal.tenant,
            principal.actor,
            "quotas.set",
            name,
            changes,
            tenant=tenant,
        )
    return QuotaView.model_validate(state)
