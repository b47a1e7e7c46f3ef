"""The observables API: look up, list, explain, report."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryFile
from typing import IO, Annotated, Any, Final
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from services.observables.enrichment.api import router as enrichment_router
from services.observables.enrichment.queues.wakeup import wake_if_due
from services.observables.lookup import assembly, queries, schemas
from services.observables.lookup.batching import Lookups
from services.observables.lookup.data_ages import UNKNOWN
from services.observables.lookup.repository import Filter
from services.observables.lookup.search_keys import check_literal
from services.observables.lookup.search_keys import under as ranges_under
from services.observables.reports.extraction_pool import ExtractionPool
from services.observables.sightings import service
from services.observables.sightings.service import Link, Report, observable_of
from shared.auth import Principal
from shared.database import Database
from shared.documents import MEDIA_TYPES
from shared.errors import InvalidInput, TooLargeInput
from shared.settings import Settings
from shared.stix import ObservableType
from shared.timestamps import Timestamp
from shared.web.app import (
    FastPath,
    authorize,
    create_api,
    database_of,
    json_response,
    openapi_security,
    require_permission,
)

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]
Writer = Annotated[Principal, require_permission("observables:write")]
AsOf = Annotated[
    Timestamp | None, Query(description="answer with what was known at this moment (RFC 3339)")
]


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The observables service's API."""
    found = Lookups(database)
    fast_path = FastPath(
        "/v1/lookup", "observables:read", lambda who, query: _plain_lookup(found, who.tenant, query)
    )
    routers = [router, enrichment_router]
    app = create_api(
        "observables",
        "observables",
        routers,
        settings,
        database,
        uploads=["/v1/extract"],
        fast_paths=[fast_path],
    )
    app.state.lookups = found
    app.state.extractors = ExtractionPool()
    return app


async def _plain_lookup(found: Lookups, tenant: str, query: bytes) -> bytes | None:
    """What is known about one value now, when the query asks for nothing else."""
    name, _, text = query.partition(b"=")
    if name != b"value" or b"&" in text or len(query) > _PLAIN:
        return None
    value = unquote_plus(text.decode("latin-1"))  # as Starlette reads a query
    return await found.one(tenant, value)


def _dated(request: Request, answer: msgspec.Struct, as_of: datetime | None = None) -> Response:
    """An answer with the dates of the reference data behind it; those of the past are not recorded."""
    dates = UNKNOWN if as_of is not None else request.app.state.lookups.dates.now()
    return json_response({**msgspec.structs.asdict(answer), "reference": dates})


_PLAIN: Final = 2_000
"""Characters of a query that is looked at without the framework; no longer than a value may be."""
_LOOKUP: Final = TypeAdapter(schemas.LookupQuery)


@router.get(
    "/lookup",
    response_model=schemas.LookupResult,
    openapi_extra=openapi_security("observables:read")
    | {"parameters": schemas.parameters(schemas.LookupQuery)},
)
async def look_up_one(request: Request) -> Response:
    """What is known about one value, now or at a moment of the past."""
    who = authorize(request, "observables:read")
    try:
        asked = _LOOKUP.validate_python(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
        ) from None
    if (moment := queries.past(asked.as_of)) is not None:
        then = await asyncio.to_thread(
            assembly.answer, database_of(request), who.tenant, [asked.value], asked.type, moment
        )
        return json_response(then[0])
    found: Lookups = request.app.state.lookups
    return Response(
        await found.one(who.tenant, asked.value, asked.type), media_type="application/json"
    )


@router.post(
    "/lookup",
    response_model=schemas.LookupResponse,
    openapi_extra=openapi_security("observables:read") | schemas.body(schemas.LookupRequest),
)
async def look_up(request: Request) -> Response:
    """What is known about up to 10,000 values, now or at a moment of the past."""
    who = authorize(request, "observables:read")
    try:
        asked = schemas.LookupRequest.model_validate_json(
            (await request.body()).decode("utf-8-sig")
        )
    except ClientDisconnect:
        raise HTTPException(400, "The body ended before it was whole.") from None
    except UnicodeDecodeError as error:
        raise HTTPException(422, "The body is not UTF-8.") from error
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        ) from None
    found: Lookups = request.app.state.lookups
    if (moment := queries.past(asked.as_of)) is None:
        return Response(
            await found.many(who.tenant, asked.values, asked.type, describe=asked.describe),
            media_type="application/json",
        )
    then = await asyncio.to_thread(
        assembly.answer, database_of(request), who.tenant, asked.values, asked.type, moment
    )
    return json_response({"items": then, "reference": UNKNOWN})


MAX_REPORT_BYTES = 32 * 1024 * 1024


@router.post(
    "/extract",
    response_model=schemas.Extraction,
    openapi_extra={
        "requestBody": {"required": True, "content": {kind: {} for kind in MEDIA_TYPES}}
    },
)
async def extract(request: Request, who: Reader) -> Response:
    """Observables and ATT&CK ids in a report (text, Markdown, HTML, PDF; up to 32 MiB), and what is known of them."""
    extractors: ExtractionPool = request.app.state.extractors
    kind, mark = (
        request.headers.get("content-type", ""),
        partial(queries.marked, database_of(request), who.tenant),
    )
    with TemporaryFile() as document:  # reports that are sent slowly take no memory
        await _receive(request, document)
        answer = await extractors.report(document, kind, mark)
    dates = bytes(await request.app.state.lookups.dates.soon())
    return Response(b'%b,"reference":%b}' % (answer[:-1], dates), media_type="application/json")


async def _receive(request: Request, document: IO[bytes]) -> None:
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > MAX_REPORT_BYTES:
                raise TooLargeInput(f"A report may have {MAX_REPORT_BYTES:,} bytes.")
            document.write(piece)
    except ClientDisconnect:
        raise HTTPException(400, "The body ended before it was whole.") from None
    document.flush()


def _filter(
    source: Annotated[UUID | None, Query(description="only what this feed asserts")] = None,
    type_: Annotated[ObservableType | None, Query(alias="type")] = None,
    min_score: Annotated[
        int | None, Query(ge=0, le=100, description="score as last announced")
    ] = None,
    tag: Annotated[
        str | None, Query(max_length=200, description="exactly this tag of an assertion that holds")
    ] = None,
    prefix: Annotated[
        str | None, Query(min_length=1, max_length=250, description="how the value begins")
    ] = None,
    under: Annotated[
        str | None,
        Query(
            max_length=8192,
            description="a domain, a network, a URL or the beginning of a hash, with all below it",
        ),
    ] = None,
) -> Filter:
    for name, text in (("tag", tag), ("prefix", prefix), ("under", under)):
        if text is not None:
            check_literal(text, name)
    return Filter(
        source, type_, min_score, tag, prefix, ranges_under(under) if under is not None else ()
    )


Wanted = Annotated[Filter, Depends(_filter)]
After = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/observables", response_model=schemas.Page)
def list_observables(
    request: Request,
    who: Reader,
    wanted: Wanted,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Observables in the order of their ids; below something, in the order of names and addresses."""
    return _dated(request, queries.page(database_of(request), who.tenant, wanted, after, limit))


@router.get("/observables/count", response_model=schemas.Count)
def count_observables(request: Request, who: Reader, wanted: Wanted) -> dict[str, int]:
    """How many observables match."""
    return {"count": queries.count(database_of(request), who.tenant, wanted)}


@router.get("/observables/{identity}", response_model=schemas.DatedObservable)
def get_observable(request: Request, who: Reader, identity: str, as_of: AsOf = None) -> Response:
    """One observable by its STIX id, now or as it was known at a moment of the past."""
    moment = queries.past(as_of)
    return _dated(
        request, queries.observable(database_of(request), who.tenant, identity, moment), moment
    )


@router.get("/observables/{identity}/explain", response_model=schemas.Explanation)
def explain_observable(
    request: Request, who: Reader, identity: str, as_of: AsOf = None
) -> Response:
    """Why the score is what it is, or was."""
    moment = queries.past(as_of)
    return _dated(
        request, queries.explain(database_of(request), who.tenant, identity, moment), moment
    )


@router.get("/observables/{identity}/relations", response_model=schemas.RelationPage)
def list_relations(
    request: Request,
    who: Reader,
    identity: str,
    kind: schemas.RelationKind | None = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """What an observable has to do with others, what was seen last first."""
    return json_response(
        queries.relations(database_of(request), who.tenant, identity, kind, after, limit)
    )


@router.post("/sightings", status_code=201)
def report_sightings(
    request: Request, who: Writer, asked: schemas.SightingsRequest
) -> dict[str, list[schemas.SightingResult]]:
    """Report where observables were seen, or that they are harmless; a report sent twice counts once."""
    reports = [_report(one, number, who) for number, one in enumerate(asked.sightings)]
    outcomes = service.report(database_of(request), who.tenant, who.actor, reports)
    return {
        "items": [
            schemas.SightingResult(
                id=f"sighting--{one.report.id}",
                repeated=one.known,
                observable=schemas.Reference.model_validate(one.view, from_attributes=True),
            )
            for one in outcomes
        ]
    }


def _report(one: schemas.SightingReport, number: int, who: Principal) -> Report:
    field = f"sightings.{number}"
    found = observable_of(one.value, one.type, f"{field}.value")
    first, last = _span(one.first_seen, one.last_seen, field)
    # Without times of its own each report is another one.
    given = one.id or (
        service.report_id(
            who.tenant,
            who.actor,
            found.type,
            found.value,
            one.kind,
            one.count,
            one.place,
            first,
            last,
        )
    )
    return Report(given, found, one.kind, one.count, one.place, one.note, first, last)


def _span(first: datetime | None, last: datetime | None, field: str) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    begins, until = first or last or now, last or now
    if begins > until or until > now:
        raise InvalidInput(
            f"{field}: first_seen, last_seen and now have to follow each other.", field=field
        )
    return begins, until


@router.delete("/sightings/{identity}", status_code=204)
def withdraw_sighting(request: Request, who: Writer, identity: str) -> None:
    """Take a report back that was wrong; what was answered before it stays as it was."""
    service.withdraw(database_of(request), who.tenant, who.actor, UUID(queries.uuid_of(identity)))


@router.post("/relations", status_code=201)
def report_relations(
    request: Request, who: Writer, asked: schemas.RelationsRequest
) -> dict[str, list[schemas.Related]]:
    """Report what known observables have to do with each other."""
    links = [_link(one, number) for number, one in enumerate(asked.relations)]
    stored = service.relate(database_of(request), who.tenant, who.actor, links)
    return {"items": [schemas.Related(from_=start, to=end) for start, end in stored]}


def _link(one: schemas.RelationReport, number: int) -> Link:
    field = f"relations.{number}"
    first, last = _span(one.first_seen, one.last_seen, field)
    start = observable_of(one.from_, one.from_type, f"{field}.from")
    return Link(start, one.kind, observable_of(one.to, one.to_type, f"{field}.to"), first, last)


@router.get("/trends", response_model=schemas.TrendPage)
def list_trends(
    request: Request,
    who: Reader,
    kind: schemas.TrendKind | None = None,
    since: Timestamp | None = None,
    after: After = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Bursts and rises, the newest first."""
    return queries.trends(database_of(request), who.tenant, kind, since, after, limit)


@router.get("/reference", response_model=list[schemas.Dataset])
def list_reference(request: Request, who: Reader) -> list[dict[str, Any]]:
    """The reference data that offline enrichers stand on, with its dates and licences."""
    return queries.reference(database_of(request), who.tenant)


@router.get("/sources", response_model=list[schemas.Source])
def list_sources(request: Request, who: Reader) -> list[dict[str, Any]]:
    """The sources this tenant sees."""
    return queries.sources(database_of(request), who.tenant)


@router.get("/runs/{run_id}", response_model=schemas.RunProgress)
def get_run(request: Request, who: Reader, run_id: UUID) -> dict[str, Any]:
    """How much of a feed run is stored already."""
    return queries.run(database_of(request), who.tenant, run_id)


@router.post("/reconcile")
def reconcile(
    request: Request, who: Annotated[Principal, require_permission("platform:reconcile")]
) -> dict[str, Any]:
    """Send again what the queue lost: a wake-up, when questions are due that nobody asks."""
    return {"status": "ok", "enqueued": wake_if_due(database_of(request), who.actor)}
