"""The mitre API: load ATT&CK, look techniques up, search them, export."""

from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from services.mitre.imports.domains import DomainName
from services.mitre.imports.files import Files
from services.mitre.releases import export, schemas, service
from shared.auth import Principal
from shared.database import Database
from shared.settings import Settings
from shared.timestamps import Timestamp
from shared.web.app import create_api, database_of, require_permission

router = APIRouter(prefix="/v1", tags=["mitre"])

Reader = Annotated[Principal, require_permission("mitre:read")]
Writer = Annotated[Principal, require_permission("mitre:write")]
Limit = Annotated[int, Query(ge=1, le=500)]
Text = Annotated[str, Query(min_length=1, max_length=200)]


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The mitre service's API."""
    app = create_api("mitre", "ATT&CK", [router], settings, database, uploads=["/v1/loads/upload"])
    app.state.files = Files(settings.data_dir)
    return app


@router.post("/loads", response_model=schemas.Load, status_code=202)
def create_load(request: Request, who: Writer, wanted: schemas.LoadCreate) -> dict[str, Any]:
    """Load a release of a domain from its source, or a bundle from an address."""
    return service.request_load(database_of(request), who, wanted.model_dump())


@router.post("/loads/upload", response_model=schemas.Load, status_code=202)
async def upload(
    request: Request,
    who: Writer,
    name: Annotated[
        str, Query(min_length=1, max_length=200, description="for people: the file's name")
    ],
    domain: DomainName | None = None,
    version: Annotated[schemas.Version | None, Query()] = None,
    activate: bool = False,
) -> dict[str, Any]:
    """Load a bundle that is sent as the request's body."""
    load_id = uuid4()
    path = await request.app.state.files.receive(request.stream(), load_id)
    wanted = {"name": name, "domain": domain, "version": version, "activate": activate}
    return await run_in_threadpool(
        service.request_upload, database_of(request), who, load_id, path, wanted
    )


@router.get("/loads", response_model=schemas.LoadPage)
def list_loads(
    request: Request, who: Reader, before: Timestamp | None = None, limit: Limit = 50
) -> dict[str, Any]:
    """Loads, newest first."""
    return service.list_loads(database_of(request), who.tenant, before, limit)


@router.get("/loads/{load_id}", response_model=schemas.Load)
def get_load(request: Request, who: Reader, load_id: UUID) -> dict[str, Any]:
    """One load: its state, what it brought, or why it failed."""
    return service.get_load(database_of(request), who.tenant, load_id)


@router.get("/sources", response_model=list[schemas.Source])
def list_sources(request: Request, who: Reader) -> list[dict[str, Any]]:
    """Where each domain is fetched, and whether it is kept fresh."""
    return service.list_sources(database_of(request), who.tenant)


@router.patch("/sources/{domain}", response_model=schemas.Source)
def update_source(
    request: Request, who: Writer, domain: DomainName, source: schemas.SourceUpdate
) -> dict[str, Any]:
    """Change where a domain is fetched, or whether it is kept fresh."""
    return service.update_source(
        database_of(request), who, domain, source.model_dump(exclude_none=True)
    )


@router.get("/releases", response_model=schemas.ReleasePage)
def list_releases(
    request: Request, who: Reader, domain: DomainName | None = None
) -> dict[str, Any]:
    """All releases that have been loaded, each with what it changed."""
    return service.list_releases(database_of(request), who.tenant, domain)


@router.get("/releases/{domain}/navigator")
def export_layer(
    request: Request,
    who: Reader,
    domain: DomainName,
    technique: Annotated[
        list[str], Query(min_length=1, max_length=2000, examples=[["T1059", "T1003.001:75"]])
    ],
    name: Text = "SentinelIQ",
    version: Annotated[schemas.Version | None, Query()] = None,
) -> dict[str, Any]:
    """Techniques, each with or without a score of 0 to 100, as a layer for MITRE's ATT&CK Navigator."""
    return export.export_layer(database_of(request), who.tenant, domain, version, name, technique)


@router.get("/releases/{domain}/{version}", response_model=schemas.Release)
def get_release(
    request: Request, who: Reader, domain: DomainName, version: schemas.Version
) -> dict[str, Any]:
    """One release."""
    return service.get_release(database_of(request), who.tenant, domain, version)


@router.get("/releases/{domain}/{version}/bundle")
def export_release(
    request: Request, who: Reader, domain: DomainName, version: schemas.Version
) -> StreamingResponse:
    """A release as the STIX bundle it came in."""
    pieces: Iterator[str] = export.export_release(database_of(request), who.tenant, domain, version)
    return StreamingResponse(pieces, media_type="application/stix+json;version=2.1")


@router.get("/techniques", response_model=schemas.TechniquePage)
def search_techniques(  # noqa: PLR0913, PLR0917  # a route's parameters are its documentation
    request: Request,
    who: Reader,
    q: Annotated[
        Text | None, Query(description='words, "a phrase", or, -without; best match first')
    ] = None,
    tactic: Annotated[Text | None, Query(description="short name or id: execution, TA0002")] = None,
    platform: Annotated[Text | None, Query(description="for instance Windows, in any case")] = None,
    domain: DomainName | None = None,
    parent: Annotated[schemas.AttackId | None, Query(description="its sub-techniques")] = None,
    inactive: Annotated[bool, Query(description="also revoked and deprecated ones")] = False,
    after: Annotated[str | None, Query(max_length=100)] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Techniques of the current releases, by text and by what they are."""
    filters = {"tactic": tactic, "platform": platform, "domain": domain, "parent": parent}
    return service.search_techniques(
        database_of(request), who.tenant, q, filters, inactive=inactive, after=after, limit=limit
    )


@router.get("/techniques/{attack_id}", response_model=schemas.Technique)
def get_technique(
    request: Request,
    who: Reader,
    attack_id: schemas.AttackId,
    domain: DomainName | None = None,
    version: Annotated[schemas.Version | None, Query()] = None,
) -> dict[str, Any]:
    """One technique, in the current release or in a version."""
    return service.get_technique(database_of(request), who.tenant, attack_id, domain, version)


@router.post("/reconcile", response_model=schemas.Reconciled)
def reconcile(
    request: Request, _who: Annotated[Principal, require_permission("platform:reconcile")]
) -> dict[str, Any]:
    """Enqueue again the loads that the queue or a worker lost."""
    return {"enqueued": service.reconcile(database_of(request))}
