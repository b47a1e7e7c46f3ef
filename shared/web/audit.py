"""The route of a service's audit."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from shared.audit import AuditFilter, AuditRecord, check_chains, list_records
from shared.auth import Principal, Role
from shared.database import PLATFORM, PUBLIC, Database
from shared.kafka.outbox import audit
from shared.pagination import Page, PageSchema, decode_cursor, paginate
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("audit:read")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]
Own = Annotated[bool, Query(description="Only of the caller's tenant, also for operators.")]
_CHECK_SECONDS = 30

router = APIRouter(tags=["audit"])


class AuditView(BaseModel):
    """A recorded change."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    tenant: str
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    changes: dict[str, Any]
    position: int | None
    recorded_at: datetime


class ChainView(BaseModel):
    """What the check of a tenant's chain says."""

    model_config = ConfigDict(from_attributes=True)

    tenant: str
    records: int
    first: int
    last: int
    digest: str
    broken_at: int | None


@router.get("/v1/audit", response_model=PageSchema[AuditView])
def list_audit(
    principal: Reader,
    database: OwnDatabase,
    conditions: Annotated[AuditFilter, Depends()],
    limit: Limit = 100,
    after: After = None,
    own: Own = False,
) -> Page[AuditView]:
    """What was changed in this service, and who did it, newest first; of all tenants for operators.

    `recorded_at` is the database's time of the change.
    """
    is_wide = principal.role >= Role.operator and not own
    scope = PLATFORM if is_wide else principal.tenant
    position = decode_cursor(after, tuple[int])
    if own and conditions.tenant is None:
        conditions = replace(conditions, tenant=principal.tenant)
    with database.transaction(scope) as session:
        records = list_records(session, conditions, position[0] if position else None, limit + 1)
    page = paginate(records, limit, _key)
    return page.map(AuditView.model_validate)


@router.get("/v1/audit/chains")
def check_audit(principal: Reader, database: OwnDatabase) -> list[ChainView]:
    """Whether records were changed, or are missing between others; of all tenants for operators.

    Keep the digests: a chain that ends before a digest of yours has lost its newest records.
    """
    scope = PLATFORM if principal.role >= Role.operator else principal.tenant
    with database.transaction(scope, _CHECK_SECONDS) as session:
        return [ChainView.model_validate(state) for state in check_chains(session)]


def record_request(
    database: Database, principal: Principal, action: str, target: object, **details: str
) -> None:
    """Record a request that changes nothing but what the platform does next."""
    with database.transaction(PLATFORM) as session:
        audit(session, database.service, PUBLIC, principal.actor, action, target, **details)


def _key(record: AuditRecord) -> tuple[int]:
    return (record.id,)
