"""Routes of techniques."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import StringConstraints

from services.mitre.releases.domains import DomainName
from services.mitre.releases.schemas import ReleaseVersion
from services.mitre.techniques import service
from services.mitre.techniques.models import TechniqueFilters
from services.mitre.techniques.schemas import AttackId, TechniquePage, TechniqueView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["mitre"])

Reader = Annotated[Principal, require_permission("mitre:read")]
Limit = Annotated[int, Query(ge=1, le=500)]
Text = Annotated[str, Query(min_length=1, max_length=200)]


@router.get("/techniques")
def search_techniques(  # noqa: PLR0913, PLR0917  # a route's parameters are its documentation
    request: Request,
    principal: Reader,
    q: Annotated[
        Text | None, Query(description='words, "a phrase", or, -without; best match first')
    ] = None,
    tactic: Annotated[Text | None, Query(description="short name or id: execution, TA0002")] = None,
    platform: Annotated[Text | None, Query(description="for instance Windows, in any case")] = None,
    domain: DomainName | None = None,
    parent: Annotated[AttackId | None, Query(description="its sub-techniques")] = None,
    inactive: Annotated[bool, Query(description="also revoked and deprecated ones")] = False,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
) -> TechniquePage:
    """Techniques of the current releases, by text and by what they are."""
    filters = TechniqueFilters(
        text=q,
        tactic=tactic,
        platform=platform,
        domain=domain,
        parent=parent,
        with_inactive=inactive,
    )
    page = service.search_techniques(database_of(request), principal.tenant, filters, after, limit)
    return TechniquePage.model_validate(page, from_attributes=True)


@router.get("/techniques/{attack_id}")
def get_technique(
    request: Request,
    principal: Reader,
    attack_id: AttackId,
    domain: DomainName | None = None,
    version: Annotated[ReleaseVersion | None, Query()] = None,
) -> TechniqueView:
    """One technique, in the current release or in a version."""
    technique = service.get_technique(
        database_of(request), principal.tenant, attack_id, domain, version
    )
    return TechniqueView.model_validate(technique)


@router.get("/releases/{domain}/navigator")
def export_layer(
    request: Request,
    principal: Reader,
    domain: DomainName,
    technique: Annotated[
        list[Annotated[str, StringConstraints(max_length=100)]],
        Query(min_length=1, max_length=2000, examples=[["T1059", "T1003.001:75"]]),
    ],
    name: Text = "SentinelIQ",
    version: Annotated[ReleaseVersion | None, Query()] = None,
) -> dict[str, Any]:
    """Techniques, each with or without a score of 0 to 100, as a layer for the ATT&CK Navigator."""
    return service.export_layer(
        database_of(request),
        principal.tenant,
        domain=domain,
        version=version,
        name=name,
        selected=technique,
    )
