"""Routes of groups."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.groups import service
from services.notifications.groups.schemas import BatchView, GroupView
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
FewBatches = Annotated[int, Query(ge=1, le=100)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1/groups", tags=["groups"])


@router.get("", response_model=PageSchema[GroupView])
def list_groups(
    principal: Reader,
    database: OwnDatabase,
    rule_id: UUID | None = None,
    open: bool | None = None,  # noqa: A002  # the query parameter's name
    limit: Limit = 100,
    after: After = None,
) -> Page[GroupView]:
    """Groups, newest first."""
    return service.list_groups(database, principal, after, limit, rule_id=rule_id, is_open=open)


@router.get("/{group_id}")
def get_group(principal: Reader, database: OwnDatabase, group_id: UUID) -> GroupView:
    """One group."""
    return service.get_group(database, principal, group_id)


@router.get("/{group_id}/batches", response_model=PageSchema[BatchView])
def list_batches(
    principal: Reader,
    database: OwnDatabase,
    group_id: UUID,
    limit: FewBatches = 20,
    after: After = None,
) -> Page[BatchView]:
    """All matches of a group by event, oldest first."""
    return service.list_batches(database, principal, group_id, after, limit)


@router.post("/{group_id}/acknowledge")
def acknowledge_group(principal: Writer, database: OwnDatabase, group_id: UUID) -> GroupView:
    """Say that somebody takes care of it: nobody else is reminded."""
    return service.acknowledge_group(database, principal, group_id)


@router.post("/{group_id}/close")
def close_group(principal: Writer, database: OwnDatabase, group_id: UUID) -> GroupView:
    """Close it, which is told; what matches next opens another."""
    return service.close_group(database, principal, group_id)
