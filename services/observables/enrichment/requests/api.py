"""The API of on-demand enrichment: requests, their progress, and jobs."""

import asyncio
from collections.abc import AsyncIterable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.observables.enrichment.queues.models import JobState
from services.observables.enrichment.requests import schemas, service
from services.observables.enrichment.requests.service import EnrichmentRequest
from services.observables.store.references import observable_of
from shared.auth import Principal
from shared.web.app import database_of, json_response, require_permission

router = APIRouter(prefix="/v1", tags=["enrichment"])

Reader = Annotated[Principal, require_permission("enrichment:read")]
Requester = Annotated[Principal, require_permission("enrichment:ask")]
Configurer = Annotated[Principal, require_permission("enrichment:configure")]

_POLL_SECONDS = 0.25
_LONGEST_STREAM = 3600.0
_ESTIMATE_STEP = 5.0
"""Seconds by which an estimate has to move before followers hear of it."""


@router.post("/enrichers/{name}/test", response_model=schemas.EnrichmentView, status_code=202)
def try_enricher(
    request: Request, principal: Configurer, name: Annotated[str, Path(max_length=100)]
) -> Response:
    """Send a provider a harmless query, to see whether it and the key work."""
    database = database_of(request)
    created = service.create_trial(database, principal.tenant, principal.actor, name)
    return json_response(service.progress(database, principal.tenant, created), 202)


@router.post("/enrichments", response_model=schemas.EnrichmentView, status_code=202)
def enrich(request: Request, principal: Requester, body: schemas.EnrichmentCreate) -> Response:
    """Query enrichers about up to 1,000 values now, before all background work."""
    observables = [
        observable_of(value, None, f"values.{place}") for place, value in enumerate(body.values)
    ]
    enrichment = EnrichmentRequest(observables, body.enrichers, body.tlp, body.fresh, body.playbook)
    database = database_of(request)
    created = service.create(database, principal.tenant, principal.actor, enrichment)
    return json_response(service.progress(database, principal.tenant, created), 202)


@router.get("/enrichments/{request_id}", response_model=schemas.EnrichmentView)
def get_progress(request: Request, principal: Reader, request_id: UUID) -> Response:
    """Give the progress of a request."""
    return json_response(service.progress(database_of(request), principal.tenant, request_id))


def _existing_request(request: Request, principal: Reader, request_id: UUID) -> tuple[str, UUID]:
    """The tenant and id of a request that exists: a stream that has begun cannot answer 404."""
    return principal.tenant, service.progress(database_of(request), principal.tenant, request_id).id


@router.get("/enrichments/{request_id}/events", response_class=EventSourceResponse)
async def follow_progress(
    request: Request, target: Annotated[tuple[str, UUID], Depends(_existing_request)]
) -> AsyncIterable[ServerSentEvent]:
    """Stream progress as server-sent events.

    Each changed job is a `job` event; `end` follows when all jobs have ended.
    """
    sent: dict[UUID, tuple[Any, ...]] = {}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LONGEST_STREAM
    while loop.time() < deadline and not await request.is_disconnected():
        view = await asyncio.to_thread(service.progress, database_of(request), *target)
        for job in view.jobs:
            # Small moves of an estimate are no news.
            step = round(job.estimate.timestamp() / _ESTIMATE_STEP) if job.estimate else None
            state = (job.state, job.outcome, job.attempts, step)
            if sent.get(job.id) != state:
                sent[job.id] = state
                yield _event("job", job, id=str(job.id))
        if not view.open:
            yield _event("end", {"id": view.id, "open": 0})
            return
        await asyncio.sleep(_POLL_SECONDS)


def _event(name: str, data: Any, **fields: Any) -> ServerSentEvent:
    return ServerSentEvent(raw_data=msgspec.json.encode(data).decode(), event=name, **fields)


@router.get("/enrichment-jobs", response_model=schemas.JobPage)
def list_jobs(
    request: Request,
    principal: Reader,
    state: JobState | None = None,
    enricher: Annotated[str | None, Query(max_length=100)] = None,
    after: Annotated[
        str | None, Query(max_length=200, description="`next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the tenant's jobs, the newest first."""
    database = database_of(request)
    return json_response(service.page(database, principal.tenant, state, enricher, after, limit))


@router.post("/enrichment-jobs/cancel", response_model=schemas.CancelledJobs)
def cancel_jobs(request: Request, principal: Requester, body: schemas.JobCancel) -> Response:
    """Cancel waiting jobs."""
    cancelled = service.cancel(database_of(request), principal, body.ids, body.enricher)
    return json_response({"cancelled": cancelled})
