"""Routes of imports and their sources."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from services.mitre.imports import service
from services.mitre.imports.files import BundleFiles
from services.mitre.imports.models import NewImport
from services.mitre.imports.schemas import (
    ImportCreate,
    ImportPage,
    ImportView,
    ReconciledImports,
    SourcePatch,
    SourceView,
)
from services.mitre.releases.domains import DomainName
from services.mitre.releases.schemas import ReleaseVersion
from shared.auth import Principal
from shared.timestamps import Timestamp
from shared.web.app import database_of, require_permission
from shared.web.audit import record_request
from shared.web.request_body import UPLOAD_BODY

router = APIRouter(prefix="/v1", tags=["mitre"])

Reader = Annotated[Principal, require_permission("mitre:read")]
Writer = Annotated[Principal, require_permission("mitre:write")]
Platform = Annotated[Principal, require_permission("platform:reconcile")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/loads", status_code=202)
def create_import(request: Request, principal: Writer, body: ImportCreate) -> ImportView:
    """Load a release of a domain from its source, or a bundle from an address."""
    item = service.request_import(database_of(request), principal, body)
    return ImportView.model_validate(item)


@router.post("/loads/upload", status_code=202, openapi_extra=UPLOAD_BODY)
async def upload(
    request: Request,
    principal: Writer,
    name: Annotated[
        str, Query(min_length=1, max_length=200, description="for people: the file's name")
    ],
    domain: DomainName | None = None,
    version: Annotated[ReleaseVersion | None, Query()] = None,
    activate: bool = False,
) -> ImportView:
    """Load a bundle that is sent as the request's body."""
    import_id = uuid4()
    files: BundleFiles = request.app.state.files
    path = await files.receive(request.stream(), import_id)
    new = NewImport(
        id=import_id,
        name=name,
        requested_by=principal.actor,
        domain=domain,
        version=version,
        path=path,
        activate=activate,
    )
    item = await run_in_threadpool(service.request_upload, database_of(request), principal, new)
    return ImportView.model_validate(item)


@router.get("/loads")
def list_imports(
    request: Request,
    principal: Reader,
    before: Annotated[
        Timestamp | None, Query(description="only loads that were requested before this time")
    ] = None,
    after: Annotated[
        str | None, Query(max_length=1000, description="`next` of the page before")
    ] = None,
    limit: Limit = 50,
) -> ImportPage:
    """Loads, newest first."""
    page = service.list_imports(database_of(request), principal.tenant, before, after, limit)
    return ImportPage.model_validate(page, from_attributes=True)


@router.get("/loads/{load_id}")
def get_import(request: Request, principal: Reader, load_id: UUID) -> ImportView:
    """One load: its state, what it brought, or why it failed."""
    item = service.get_import(database_of(request), principal.tenant, load_id)
    return ImportView.model_validate(item)


@router.get("/sources")
def list_sources(request: Request, principal: Reader) -> list[SourceView]:
    """The source of each domain, and whether it is refreshed."""
    sources = service.list_sources(database_of(request), principal.tenant)
    return [SourceView.model_validate(source) for source in sources]


@router.patch("/sources/{domain}")
def change_source(
    request: Request, principal: Writer, domain: DomainName, source: SourcePatch
) -> SourceView:
    """Change the source of a domain, or whether it is refreshed."""
    changed = service.change_source(database_of(request), principal, domain, source)
    return SourceView.model_validate(changed)


@router.post("/reconcile")
def reconcile(request: Request, principal: Platform) -> ReconciledImports:
    """Enqueue again the loads that the queue or a worker lost."""
    database = database_of(request)
    enqueued = service.reconcile(database)
    record_request(database, principal, "mitre.reconcile", "loads", enqueued=str(enqueued))
    return ReconciledImports(enqueued=enqueued)
