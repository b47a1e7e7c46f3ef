"""Routes of releases."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from services.mitre.releases import service
from services.mitre.releases.domains import DomainName
from services.mitre.releases.schemas import ReleasePage, ReleaseVersion, ReleaseView
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["mitre"])

Reader = Annotated[Principal, require_permission("mitre:read")]


@router.get("/releases")
def list_releases(
    request: Request, principal: Reader, domain: DomainName | None = None
) -> ReleasePage:
    """All releases that have been loaded, each with what it changed."""
    releases = service.list_releases(database_of(request), principal.tenant, domain)
    return ReleasePage(items=[ReleaseView.model_validate(release) for release in releases])


@router.get("/releases/{domain}/{version}")
def get_release(
    request: Request, principal: Reader, domain: DomainName, version: ReleaseVersion
) -> ReleaseView:
    """One release."""
    release = service.get_release(database_of(request), principal.tenant, domain, version)
    return ReleaseView.model_validate(release)


@router.get("/releases/{domain}/{version}/bundle")
def export_release(
    request: Request, principal: Reader, domain: DomainName, version: ReleaseVersion
) -> StreamingResponse:
    """A release as the STIX bundle it came in."""
    pieces: Iterator[str] = service.export_release(
        database_of(request), principal.tenant, domain, version
    )
    return StreamingResponse(pieces, media_type="application/stix+json;version=2.1")
