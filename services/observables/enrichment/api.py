"""The API of remote enrichment: enrichers and their keys, questions and their progress, policies."""

import asyncio
from collections.abc import AsyncIterable
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
import zstandard
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.observables.enrichment import schemas
from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.enrichers import service as settings
from services.observables.enrichment.enrichers.service import Change
from services.observables.enrichment.policies import service as planning
from services.observables.enrichment.queues.wakeup import wake_if_due
from services.observables.enrichment.requests import service as requests
from services.observables.enrichment.requests.service import Question
from services.observables.sightings.service import observable_of
from services.observables.store.references import uuid_of
from shared.auth import Principal
from shared.errors import NotFound
from shared.pagination import decode_cursor, encode_cursor
from shared.web.app import database_of, json_response, require_permission

router = APIRouter(prefix="/v1", tags=["enrichment"])

Reader = Annotated[Principal, require_permission("enrichment:read")]
Asker = Annotated[Principal, require_permission("enrichment:ask")]
Configurer = Annotated[Principal, require_permission("enrichment:configure")]
Days = Annotated[int, Query(ge=1, le=planning.MOST_DAYS, description="how many days back")]
Name = Annotated[str, Path(max_length=100)]

_LOOK_SECONDS = 0.25
_LONGEST_STREAM = 3600.0
_ESTIMATE_MOVES = 5.0


@router.get("/enrichers", response_model=list[schemas.Enricher])
def list_enrichers(request: Request, who: Reader) -> Response:
    """The remote enrichers, what is set about them, and the queues in front of them."""
    return json_response(settings.overview(database_of(request), who.tenant))


@router.patch("/enrichers/{name}", response_model=schemas.Enricher)
def change_enricher(
    request: Request, who: Configurer, name: Name, asked: schemas.EnricherPatch
) -> Response:
    """Switch an enricher on or off, set its key, the limits of the plan it belongs to, and how far markings go."""
    given = asked.model_dump(exclude_unset=True)
    key = given.pop("key", None)
    if "rate" in given:
        rate = given.pop("rate")
        given |= {
            "rate_calls": rate["calls"] if rate else None,
            "rate_seconds": rate["seconds"] if rate else None,
        }
    if given.get("enabled", True) is None:
        given.pop("enabled")
    environment = request.app.state.settings
    change = Change(given, key)
    return json_response(
        settings.change(database_of(request), environment, who.tenant, who.actor, name, change)
    )


@router.delete("/enrichers/{name}/key", response_model=schemas.Enricher)
def delete_key(request: Request, who: Configurer, name: Name) -> Response:
    """Forget the tenant's key."""
    environment = request.app.state.settings
    return json_response(
        settings.change(
            database_of(request), environment, who.tenant, who.actor, name, Change({}, {})
        )
    )


@router.post("/enrichers/{name}/test", response_model=schemas.Progress, status_code=202)
def try_enricher(request: Request, who: Configurer, name: Name) -> Response:
    """Ask the provider a harmless question, to see whether it and the key work; follow it like any request."""
    database = database_of(request)
    made = requests.try_out(database, who.tenant, who.actor, name)
    return json_response(requests.progress(database, who.tenant, made), 202)


@router.post("/enrichments", response_model=schemas.Progress, status_code=202)
def enrich(request: Request, who: Asker, asked: schemas.EnrichRequest) -> Response:
    """Ask enrichers about up to 1,000 values now, before all automatic work."""
    about = [
        observable_of(value, None, f"values.{place}") for place, value in enumerate(asked.values)
    ]
    question = Question(about, asked.enrichers, asked.tlp, asked.fresh, asked.playbook)
    database = database_of(request)
    made = requests.ask(database, who.tenant, who.actor, question)
    return json_response(requests.progress(database, who.tenant, made), 202)


@router.get("/enrichments/{request_id}", response_model=schemas.Progress)
def get_progress(request: Request, who: Reader, request_id: UUID) -> Response:
    """How far a request has come."""
    return json_response(requests.progress(database_of(request), who.tenant, request_id))


def _followed(request: Request, who: Reader, request_id: UUID) -> tuple[str, UUID]:
    """A tenant's request that there is: once events flow, it is too late for a 404."""
    return who.tenant, requests.progress(database_of(request), who.tenant, request_id).id


@router.get("/enrichments/{request_id}/events", response_class=EventSourceResponse)
async def follow_progress(
    request: Request, followed: Annotated[tuple[str, UUID], Depends(_followed)]
) -> AsyncIterable[ServerSentEvent]:
    """Progress as it comes, as server-sent events: `job` for each question that moved, `end` when all have ended."""
    told: dict[UUID, tuple[Any, ...]] = {}  # by job: what was told of it
    loop = asyncio.get_running_loop()
    until = loop.time() + _LONGEST_STREAM
    while loop.time() < until and not await request.is_disconnected():
        found = await asyncio.to_thread(requests.progress, database_of(request), *followed)
        for job in found.jobs:
            # An estimate that moves by a breath is no news.
            estimate = round(job.estimate.timestamp() / _ESTIMATE_MOVES) if job.estimate else None
            state = (job.state, job.outcome, job.attempts, estimate)
            if told.get(job.id) != state:
                told[job.id] = state
                yield ServerSentEvent(
                    raw_data=msgspec.json.encode(job).decode(), event="job", id=str(job.id)
                )
        if not found.open:
            yield ServerSentEvent(
                raw_data=msgspec.json.encode({"id": found.id, "open": 0}).decode(), event="end"
            )
            return
        await asyncio.sleep(_LOOK_SECONDS)


@router.get("/enrichment-jobs", response_model=schemas.JobPage)
def list_jobs(
    request: Request,
    who: Reader,
    state: schemas.JobState | None = None,
    enricher: Annotated[str | None, Query(max_length=100)] = None,
    after: Annotated[
        str | None, Query(max_length=200, description="`next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """The tenant's questions, the newest first."""
    items = requests.page(
        database_of(request),
        who.tenant,
        state,
        enricher,
        decode_cursor(after, tuple[datetime, UUID]),
        limit,
    )
    last = encode_cursor(items[-1].created_at, items[-1].id) if len(items) == limit else None
    return json_response({"items": items, "next": last})


@router.post("/enrichment-jobs/cancel", response_model=schemas.Cancelled)
def cancel_jobs(request: Request, who: Asker, asked: schemas.CancelRequest) -> Response:
    """Take back questions that wait."""
    return json_response(
        {"cancelled": requests.cancel(database_of(request), who.tenant, asked.ids, asked.enricher)}
    )


@router.get(
    "/observables/{identity}/enrichments/{enricher}/raw",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def get_raw(request: Request, who: Reader, identity: str, enricher: Name) -> Response:
    """What a provider sent about an observable, byte for byte, as long as it is kept (30 days)."""
    uuid = uuid_of(identity)
    with database_of(request).transaction(who.tenant) as session:
        found = answers.raw(session, who.tenant, uuid, enricher)
    if found is None:
        raise NotFound(f"No answer of {enricher} about {identity} is kept.")
    content, obtained = found
    headers = {"X-Content-Type-Options": "nosniff", "X-Obtained-At": obtained.isoformat()}
    return Response(
        zstandard.decompress(content), media_type="application/octet-stream", headers=headers
    )


@router.get("/enrichment-policies", response_model=list[schemas.Policy])
def list_policies(request: Request, who: Reader) -> Response:
    """The tenant's policies, the oldest first: of two that would ask the same, that one asks."""
    return json_response(planning.overview(database_of(request), who.tenant))


@router.post("/enrichment-policies", response_model=schemas.Policy, status_code=201)
def create_policy(request: Request, who: Configurer, asked: schemas.PolicyCreate) -> Response:
    """Make a policy."""
    return json_response(
        planning.create(database_of(request), who.tenant, who.actor, asked.model_dump()), 201
    )


@router.post("/enrichment-policies/dry-run", response_model=schemas.Forecast)
async def try_policy(
    request: Request, who: Reader, asked: schemas.PolicyCreate, days: Days = 1
) -> Response:
    """What a policy that is not there yet would have asked in the last days."""
    policy = planning.policy_of(asked.model_dump())
    database = database_of(request)
    past = await planning.look_back(database, request.app.state.settings, who.tenant, policy, days)
    return json_response(await asyncio.to_thread(planning.forecast, database, who.tenant, past))


@router.patch("/enrichment-policies/{policy_id}", response_model=schemas.Policy)
def change_policy(
    request: Request, who: Configurer, policy_id: UUID, asked: schemas.PolicyPatch
) -> Response:
    """Change a policy."""
    given = {
        name: value
        for name, value in asked.model_dump(exclude_unset=True).items()
        if value is not None or name == "daily_budget"
    }
    return json_response(
        planning.change(database_of(request), who.tenant, who.actor, policy_id, given)
    )


@router.delete("/enrichment-policies/{policy_id}", status_code=204)
def delete_policy(request: Request, who: Configurer, policy_id: UUID) -> None:
    """Remove a policy; what it asked already is still asked."""
    planning.delete(database_of(request), who.tenant, who.actor, policy_id)


@router.post("/enrichment-policies/{policy_id}/dry-run", response_model=schemas.Forecast)
async def forecast_policy(
    request: Request, who: Reader, policy_id: UUID, days: Days = 1
) -> Response:
    """What a policy would have asked in the last days."""
    past = await _past(request, who.tenant, policy_id, days)
    return json_response(
        await asyncio.to_thread(planning.forecast, database_of(request), who.tenant, past)
    )


@router.post(
    "/enrichment-policies/{policy_id}/apply", response_model=schemas.Applied, status_code=202
)
async def apply_policy(
    request: Request, who: Configurer, policy_id: UUID, days: Days = 1
) -> Response:
    """Ask now what a policy would have asked in the last days."""
    past = await _past(request, who.tenant, policy_id, days)
    done = partial(planning.apply, database_of(request), who.tenant, who.actor, policy_id, past)
    return json_response({"asked": await asyncio.to_thread(done)}, 202)


async def _past(request: Request, tenant: str, policy_id: UUID, days: int) -> planning.Past:
    database = database_of(request)
    policy = await asyncio.to_thread(planning.kept, database, tenant, policy_id)
    return await planning.look_back(database, request.app.state.settings, tenant, policy, days)


@router.post("/reconcile", tags=["observables"])
def reconcile(
    request: Request, principal: Annotated[Principal, require_permission("platform:reconcile")]
) -> dict[str, Any]:
    """Wake a worker when provider queries are due, in case the queue lost its message."""
    return {"status": "ok", "enqueued": wake_if_due(database_of(request), principal.actor)}
