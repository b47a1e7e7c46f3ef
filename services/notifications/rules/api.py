"""Routes of rules."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.notifications.rules import service
from services.notifications.rules.schemas import RuleCreate, RulePatch, RuleView
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1/rules", tags=["rules"])


@router.get("", response_model=PageSchema[RuleView])
def list_rules(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[RuleView]:
    """Rules by name."""
    return service.list_rules(database, principal, after, limit)


@router.post("", status_code=201)
def create_rule(principal: Writer, database: OwnDatabase, body: RuleCreate) -> RuleView:
    """Create a rule."""
    return service.create_rule(database, principal, body)


@router.get("/{rule_id}")
def get_rule(principal: Reader, database: OwnDatabase, rule_id: UUID) -> RuleView:
    """One rule."""
    return service.get_rule(database, principal, rule_id)


@router.patch("/{rule_id}")
def change_rule(
    principal: Writer, database: OwnDatabase, rule_id: UUID, body: RulePatch
) -> RuleView:
    """Change a rule."""
    return service.change_rule(database, principal, rule_id, body)


@router.delete("/{rule_id}", status_code=204)
def delete_rule(principal: Writer, database: OwnDatabase, rule_id: UUID) -> None:
    """Delete a rule. What it has matched is still delivered."""
    service.delete_rule(database, principal, rule_id)
