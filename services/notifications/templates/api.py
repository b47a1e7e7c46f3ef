"""Routes of templates."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from services.notifications.templates import service
from services.notifications.templates.schemas import (
    TemplateBody,
    TemplatePreview,
    TemplateTrial,
    TemplateView,
)
from shared.auth import Principal
from shared.database import Database
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]

router = APIRouter(tags=["templates"])


@router.get("/v1/rules/{rule_id}/template")
def get_template(principal: Reader, database: OwnDatabase, rule_id: UUID) -> TemplateView:
    """The template of a rule, and what it writes of a sample."""
    return service.get_template(database, principal, rule_id)


@router.put("/v1/rules/{rule_id}/template")
def set_template(
    principal: Writer, database: OwnDatabase, rule_id: UUID, body: TemplateBody
) -> TemplateView:
    """Set the template of a rule; it is tried on a sample first."""
    return service.set_template(database, principal, rule_id, body)


@router.delete("/v1/rules/{rule_id}/template", status_code=204)
def delete_template(principal: Writer, database: OwnDatabase, rule_id: UUID) -> None:
    """Remove the template of a rule: its messages have the channels' own words again."""
    service.delete_template(database, principal, rule_id)


@router.post("/v1/templates/preview")
def preview_template(principal: Writer, body: TemplateTrial) -> TemplatePreview:  # noqa: ARG001
    """What a template writes of a sample. Nothing is stored."""
    return service.preview_template(body)
