"""The feeds API: subscribe, upload, run, watch."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from services.feeds.catalog import catalog
from services.feeds.previews import service as previews
from services.feeds.runs.payloads import Payloads
from services.feeds.subscriptions import schemas, service
from shared.auth import Principal
from shared.database import Database
from shared.errors import InvalidInput
from shared.settings import Settings
from shared.timestamps import Timestamp
from shared.web.app import create_api, database_of, require_permission

router = APIRouter(prefix="/v1", tags=["feeds"])

Reader = Annotated[Principal, require_permission("feeds:read")]
Runner = Annotated[Principal, require_permission("feeds:run")]
Writer = Annotated[Principal, require_permission("feeds:write")]
Limit = Annotated[int, Query(ge=1, le=1000)]


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The feeds service's API."""
    uploads = ["/v1/ingest", "/v1/preview/document"]
    app = create_api("feeds", "feeds", [router], settings, database, uploads=uploads)
    app.state.payloads = Payloads(settings.data_dir)
    return app


@router.get("/feeds", response_model=schemas.FeedPage)
def list_feeds(
    request: Request, who: Reader, after: UUID | None = None, limit: Limit = 100
) -> dict[str, Any]:
    """The tenant's feeds and the public ones."""
    return service.list_feeds(database_of(request), who.tenant, after, limit)


@router.post("/feeds", response_model=schemas.Feed, status_code=201)
def create_feed(request: Request, who: Writer, feed: schemas.FeedCreate) -> dict[str, Any]:
    """Subscribe to a feed."""
    return service.create_feed(database_of(request), who, {**feed.model_dump(), "auth": feed.auth})


@router.get("/feeds/{feed_id}", response_model=schemas.Feed)
def get_feed(request: Request, who: Reader, feed_id: UUID) -> dict[str, Any]:
    """One feed."""
    return service.get_feed(database_of(request), who.tenant, feed_id)


@router.patch("/feeds/{feed_id}", response_model=schemas.Feed)
def update_feed(
    request: Request, who: Writer, feed_id: UUID, feed: schemas.FeedUpdate
) -> dict[str, Any]:
    """Change a feed."""
    changes = feed.model_dump(exclude_unset=True)
    if "auth" in changes:
        changes["auth"] = feed.auth
    return service.update_feed(database_of(request), who, feed_id, changes)


@router.delete("/feeds/{feed_id}", status_code=204)
def delete_feed(request: Request, who: Writer, feed_id: UUID) -> Response:
    """Unsubscribe."""
    service.delete_feed(database_of(request), who, feed_id)
    return Response(status_code=204)


@router.post("/feeds/{feed_id}/runs", response_model=schemas.Run, status_code=202)
def start_run(request: Request, who: Runner, feed_id: UUID) -> dict[str, Any]:
    """Fetch a feed now."""
    return service.start_run(database_of(request), who, feed_id)


@router.post("/feeds/{feed_id}/confirm", response_model=schemas.Run, status_code=202)
def confirm(request: Request, who: Writer, feed_id: UUID) -> dict[str, Any]:
    """Let a list that was held back, because it lost more than half, go live."""
    return service.confirm(database_of(request), who, feed_id)


@router.post("/feeds/{feed_id}/reparse")
def reparse(
    request: Request, who: Writer, feed_id: UUID, wanted: schemas.Reparse
) -> dict[str, Any]:
    """What the feed's last payload would say under other settings; with `apply` it is read so from now on."""
    changes = wanted.model_dump(exclude_unset=True, exclude={"apply"})
    return service.reparse(database_of(request), who, feed_id, changes, apply=wanted.apply)


@router.get("/catalogue")
def list_catalogue(_who: Reader) -> dict[str, Any]:
    """The public feeds that come with SentinelIQ."""
    return {"items": [entry.as_dict() for entry in catalog.entries()]}


@router.get("/catalogue/{slug}")
def get_catalogue_entry(_who: Reader, slug: str) -> dict[str, Any]:
    """One of them, with its licence, its provider's page and known trouble."""
    return catalog.entry(slug).as_dict()


@router.post("/catalogue/{slug}/subscribe", response_model=schemas.Feed, status_code=201)
def subscribe(
    request: Request, who: Writer, slug: str, wanted: schemas.Subscribe
) -> dict[str, Any]:
    """Subscribe to it."""
    changes = wanted.model_dump(exclude_unset=True, exclude={"name", "auth"})
    return service.subscribe(database_of(request), who, slug, wanted.name, wanted.auth, changes)


@router.post("/preview")
async def preview(request: Request, _who: Runner, wanted: schemas.Preview) -> dict[str, Any]:
    """The first records that an address would give, and what would be left out; nothing is stored."""
    payloads: Payloads = request.app.state.payloads
    return await previews.preview_address(request.app.state.settings, payloads, wanted)


@router.post("/preview/document")
async def preview_document(
    request: Request,
    _who: Runner,
    name: schemas.Name = "document",
    format: Annotated[str | None, Query(description="guessed when not given")] = None,  # noqa: A002  # the parameter's name
    options: Annotated[str | None, Query(description="the format's options as JSON")] = None,
) -> dict[str, Any]:
    """The same for a document that is the request's body."""
    payloads: Payloads = request.app.state.payloads
    with payloads.scratch() as folder:
        upload = await payloads.receive(request.stream(), folder)
        given = _options(options) or {}
        return await run_in_threadpool(previews.preview_file, upload, name, format, given, folder)


@router.post("/ingest", response_model=schemas.Run, status_code=202)
async def ingest(  # noqa: PLR0913, PLR0917  # a route's parameters are its documentation
    request: Request,
    who: Runner,
    name: schemas.Name,
    format: Annotated[str | None, Query(description="guessed when not given")] = None,  # noqa: A002  # the parameter's name
    options: Annotated[str | None, Query(description="the format's options as JSON")] = None,
    confidence: Annotated[int | None, Query(ge=0, le=100)] = None,
    reliability: schemas.Reliability | None = None,
    tlp: schemas.Tlp | None = None,
    tag: Annotated[list[schemas.Tag] | None, Query()] = None,
    kind: Annotated[
        schemas.Kind | None, Query(description="of a feed that is new: stream when not given")
    ] = None,
) -> dict[str, Any]:
    """Upload a payload as the request's body and run it through the feed of that name."""
    given = {
        "format": format,
        "options": _options(options),
        "confidence": confidence,
        "reliability": reliability,
        "tlp": tlp,
        "tags": tag,
        "kind": kind,
    }
    values = {key: value for key, value in given.items() if value is not None}
    payloads: Payloads = request.app.state.payloads
    with payloads.scratch() as folder:
        upload = await payloads.receive(request.stream(), folder)
        payload = await run_in_threadpool(payloads.keep, upload)
    return await run_in_threadpool(
        service.ingest, database_of(request), who, name, payload.sha256, values
    )


def _options(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput(f"options is not a JSON object: {error}", field="options") from error


@router.get("/runs", response_model=schemas.RunPage)
def list_runs(
    request: Request,
    who: Reader,
    feed: UUID | None = None,
    before: Timestamp | None = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Runs, newest first."""
    return service.list_runs(database_of(request), who.tenant, feed, before, limit)


@router.get("/runs/{run_id}", response_model=schemas.Run)
def get_run(request: Request, who: Reader, run_id: UUID) -> dict[str, Any]:
    """One run."""
    return service.get_run(database_of(request), who.tenant, run_id)


@router.post("/reconcile")
def reconcile(
    request: Request, _who: Annotated[Principal, require_permission("platform:reconcile")]
) -> dict[str, Any]:
    """Enqueue again the runs that the queue or a worker lost."""
    return {"status": "ok", "enqueued": service.reconcile(database_of(request))}
