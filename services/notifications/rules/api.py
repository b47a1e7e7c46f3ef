"""Routes of rules."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from services.notifications.rules import dry_run, service
from services.notifications.rules.schemas import (
    DryRunBody,
    DryRunComparison,
    DryRunResult,
    RuleCreate,
    RulePatch,
    RuleView,
    StoredDryRunBody,
)
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.settings import Settings
from shared.web.app import database_of, require_permission


def _settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
OwnSettings = Annotated[Settings, Depends(_settings_of)]
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


@router.post("/dry-run")
def try_new_rule(
    principal: Reader, database: OwnDatabase, settings: OwnSettings, body: DryRunBody
) -> DryRunResult:
    """What a rule would have told of the log of the last hours. Nothing is sent or stored."""
    return dry_run.try_new_rule(database, settings, principal, body)


@router.post("/{rule_id}/dry-run")
def try_rule(
    principal: Reader,
    database: OwnDatabase,
    settings: OwnSettings,
    rule_id: UUID,
    body: StoredDryRunBody,
) -> DryRunComparison:
    """What a stored rule would have told, as it is and with changes, side by side."""
    return dry_run.compare_rule(database, settings, principal, rule_id, body)


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
