"""The routes of evidence about sources."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Request

from services.observables.evidence import quality, service
from services.observables.evidence.schemas import (
    EvidencePolicy,
    SourcePairView,
    SourceQualityView,
)
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]
Configurator = Annotated[Principal, require_permission("enrichment:configure")]


@router.get("/source-pairs", response_model=list[SourcePairView])
def list_source_pairs(request: Request, principal: Reader) -> list[sa.Row[Any]]:
    """Pairs of sources of which one probably copies the other, the most probable first."""
    return service.list_pairs(database_of(request), principal.tenant)


@router.get("/source-quality", response_model=list[SourceQualityView])
def list_source_quality(request: Request, principal: Reader) -> list[sa.Row[Any]]:
    """What came out about the listings of sources, by their names."""
    return quality.list_quality(database_of(request), principal.tenant)


@router.get("/evidence-policy", response_model=EvidencePolicy)
def show_evidence_policy(request: Request, principal: Reader) -> EvidencePolicy:
    """Whether what is learned about sources counts."""
    applies = quality.show_policy(database_of(request), principal.tenant)
    return EvidencePolicy(applies_learning=applies)


@router.put("/evidence-policy", response_model=EvidencePolicy)
def set_evidence_policy(
    request: Request, principal: Configurator, body: EvidencePolicy
) -> EvidencePolicy:
    """Let what is learned about the tenant's sources count from the next measurement on, or not."""
    quality.set_policy(
        database_of(request),
        principal.tenant,
        principal.actor,
        applies_learning=body.applies_learning,
    )
    return body
