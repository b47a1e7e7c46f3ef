"""Routes of runs."""

from functools import partial
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from services.feeds.payloads.store import PayloadStore, received_bytes
from services.feeds.runs import full_statements, retractions, service
from services.feeds.runs.models import StoredDocument
from services.feeds.runs.schemas import (
    ReconciledRuns,
    RetractionBody,
    RetractionView,
    RunPage,
    RunView,
)
from services.feeds.subscriptions.models import FeedColumns
from services.feeds.subscriptions.vocabulary import (
    FeedKind,
    FeedName,
    FileName,
    Reliability,
    Tag,
    Tlp,
    parse_options,
)
from shared.auth import Principal
from shared.bounded_json import MAX_OBJECT_BYTES
from shared.timestamps import Timestamp
from shared.web.app import database_of, require_permission
from shared.web.audit import record_request
from shared.web.request_body import UPLOAD_BODY

router = APIRouter(prefix="/v1", tags=["feeds"])

Reader = Annotated[Principal, require_permission("feeds:read")]
Runner = Annotated[Principal, require_permission("feeds:run")]
Writer = Annotated[Principal, require_permission("feeds:write")]
Platform = Annotated[Principal, require_permission("platform:reconcile")]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]


@router.get("/runs")
def list_runs(
    request: Request,
    principal: Reader,
    feed: UUID | None = None,
    before: Annotated[
        Timestamp | None, Query(description="only runs that were queued before this time")
    ] = None,
    after: After = None,
    limit: Limit = 50,
) -> RunPage:
    """Runs, newest first."""
    page = service.list_runs(
        database_of(request),
        principal.tenant,
        feed_id=feed,
        before=before,
        after=after,
        limit=limit,
    )
    return RunPage.model_validate(page, from_attributes=True)


@router.get("/runs/{run_id}")
def get_run(request: Request, principal: Reader, run_id: UUID) -> RunView:
    """One run."""
    return RunView.model_validate(service.get_run(database_of(request), principal.tenant, run_id))


@router.post("/feeds/{feed_id}/runs", status_code=202)
def start_run(request: Request, principal: Runner, feed_id: UUID) -> RunView:
    """Fetch a feed now. If a fetch of it is queued already, that run is returned."""
    return RunView.model_validate(service.start_run(database_of(request), principal, feed_id))


@router.post("/feeds/{feed_id}/confirm", status_code=202)
def confirm(request: Request, principal: Writer, feed_id: UUID) -> RunView:
    """Publish a list that was held back in quarantine because it lost more than half."""
    return RunView.model_validate(service.confirm(database_of(request), principal, feed_id))


@router.post("/feeds/{feed_id}/resync", status_code=202)
def resync(request: Request, principal: Runner, feed_id: UUID) -> RunView:
    """Let a feed say everything again, whatever was lost on the way.

    What it said before and does not list now is gone. A run that waits for this already is
    returned.
    """
    run = full_statements.resync(database_of(request), principal, feed_id)
    return RunView.model_validate(run)


@router.post("/runs/{run_id}/retract", status_code=202)
def retract_run(
    request: Request, principal: Writer, run_id: UUID, body: RetractionBody
) -> RetractionView:
    """Take back what a run's document said, or count what that would be.

    A list goes back to the document before; a stream keeps what its other documents name as well.
    No rule tells of it. A feed that is fetched is paused.
    """
    retraction = retractions.retract_run(
        database_of(request),
        request.app.state.payloads,
        principal,
        run_id,
        dry_run=body.dry_run,
    )
    return RetractionView.model_validate(retraction)


@router.post("/runs/{run_id}/restore", status_code=202)
def restore_run(request: Request, principal: Writer, run_id: UUID) -> RunView:
    """Say again what was taken back, within 30 days. No rule tells of it."""
    database = database_of(request)
    run = retractions.restore_run(database, request.app.state.payloads, principal, run_id)
    return RunView.model_validate(run)


@router.post("/feeds/{feed_id}/retract", status_code=202)
def retract_feed(
    request: Request, principal: Writer, feed_id: UUID, body: RetractionBody
) -> RetractionView:
    """Take back all that a feed has said, or count what that would be. No rule tells of it.

    A feed that is fetched is paused.
    """
    database = database_of(request)
    retraction = retractions.retract_feed(database, principal, feed_id, dry_run=body.dry_run)
    return RetractionView.model_validate(retraction)


@router.post("/ingest", status_code=202, openapi_extra=UPLOAD_BODY)
async def ingest(  # noqa: PLR0913, PLR0917  # a route's parameters are its documentation
    request: Request,
    principal: Runner,
    name: FeedName,
    file: Annotated[
        FileName | None, Query(description="the file's name: its ending may tell the format")
    ] = None,
    format: Annotated[  # noqa: A002  # the parameter's name
        str | None, Query(max_length=100, description="guessed when not given")
    ] = None,
    options: Annotated[
        str | None, Query(max_length=MAX_OBJECT_BYTES, description="the format's options as JSON")
    ] = None,
    confidence: Annotated[int | None, Query(ge=0, le=100)] = None,
    reliability: Reliability | None = None,
    tlp: Tlp | None = None,
    tag: Annotated[list[Tag] | None, Query(max_length=50)] = None,
    kind: Annotated[
        FeedKind | None, Query(description="of a feed that is new: stream when not given")
    ] = None,
) -> RunView:
    """Upload a payload as the request's body and run it through the feed of that name."""
    parameters = {
        "format": format,
        "options": parse_options(options),
        "confidence": confidence,
        "reliability": reliability,
        "tlp": tlp,
        "tags": tag,
        "kind": kind,
    }
    present = {key: value for key, value in parameters.items() if value is not None}
    settings = cast("FeedColumns", present)
    payloads: PayloadStore = request.app.state.payloads
    database = database_of(request)
    # Whoever may not upload this is refused before his body is read.
    await run_in_threadpool(service.require_upload, database, principal, name, settings)
    with payloads.scratch() as folder:
        try:
            upload = await payloads.receive(request.stream(), folder)
        finally:
            # What was received counts, whatever becomes of it.
            size = received_bytes(folder)
            await run_in_threadpool(service.note_received, database, principal.tenant, size)
        packed = await run_in_threadpool(payloads.pack, upload)
        document = StoredDocument(packed.content.sha256, file_name=file, received=size)
        run = await run_in_threadpool(
            service.ingest,
            database,
            principal,
            name,
            document,
            settings,
            partial(payloads.keep, packed),
        )
    return RunView.model_validate(run)


@router.post("/reconcile")
def reconcile(request: Request, principal: Platform) -> ReconciledRuns:
    """Enqueue again the runs that the queue or a worker lost."""
    database = database_of(request)
    enqueued = service.reconcile(database)
    record_request(database, principal, "feeds.reconcile", "runs", enqueued=str(enqueued))
    return ReconciledRuns(enqueued=enqueued)
