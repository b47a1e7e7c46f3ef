"""The routes that look observables up: by value, by id, in lists."""

import asyncio
from datetime import datetime
from typing import Annotated, Final, Literal
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from services.observables.lookup import assembly, schemas, service
from services.observables.lookup.assembly import DatedLookupAnswer, LookupAnswers
from services.observables.lookup.batching import Lookups
from services.observables.lookup.read_models import AssertionView, DatedObservable
from services.observables.lookup.repository import Filter
from services.observables.lookup.service import (
    DatedExplanation,
    DatedPage,
    RelationCounts,
    RelationPage,
)
from services.observables.reference.data_dates import UNKNOWN, DatasetDates
from services.observables.scoring.assessment import Assessment
from services.observables.sightings.schemas import RelationKind
from services.observables.store.references import StixId
from services.observables.store.search_keys import check_literal
from services.observables.store.search_keys import under as ranges_under
from shared.auth import Principal
from shared.stix import ObservableType
from shared.timestamps import Timestamp
from shared.web.app import (
    authorize,
    database_of,
    json_response,
    openapi_security,
    require_permission,
)
from shared.web.fast_paths import FastPath
from shared.web.struct_schemas import struct_response

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]
STRUCTS: Final = (
    AssertionView,
    Assessment,
    DatedExplanation,
    DatedLookupAnswer,
    DatedObservable,
    DatedPage,
    LookupAnswers,
    RelationCounts,
    RelationPage,
)
"""The structs that the OpenAPI document describes."""

AsOf = Annotated[
    Timestamp | None, Query(description="answer with what was recorded at this moment (RFC 3339)")
]


def fast_path(lookups: Lookups) -> FastPath:
    """The lookup of one value now, answered without the framework."""
    return FastPath(
        "/v1/lookup",
        "observables:read",
        lambda principal, query: _plain_lookup(lookups, principal.tenant, query),
    )


async def _plain_lookup(lookups: Lookups, tenant: str, query: bytes) -> bytes | None:
    """The answer about one value now; None when the query has any other parameter."""
    name, _, text = query.partition(b"=")
    if name != b"value" or b"&" in text or len(query) > _MAX_QUERY:
        return None
    value = unquote_plus(text.decode("latin-1"))  # as Starlette reads a query
    return await lookups.look_up(tenant, value)


def _dated(
    request: Request, answer: msgspec.Struct, dated: type, as_of: datetime | None = None
) -> Response:
    """An answer with the dates of its reference data; those of the past are not recorded."""
    data_dates: DatasetDates = request.app.state.data_dates
    dates = UNKNOWN if as_of is not None else data_dates.get()
    return json_response(dated(*msgspec.structs.astuple(answer), dates))


_MAX_QUERY: Final = 2_000
"""Characters of a query that is answered without the framework; no longer than a value may be."""
_LOOKUP: Final = TypeAdapter(schemas.LookupQuery)


@router.get(
    "/lookup",
    responses=struct_response(DatedLookupAnswer),
    openapi_extra=openapi_security("observables:read")
    | {"parameters": schemas.parameters(schemas.LookupQuery)},
)
async def look_up(request: Request) -> Response:
    """Look one value up, now or as recorded at a moment."""
    principal = authorize(request, "observables:read")
    try:
        lookup = _LOOKUP.validate_python(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(
            [{**problem, "loc": ("query", *problem["loc"])} for problem in error.errors()]
        ) from None
    if (moment := service.check_past(lookup.as_of)) is not None:
        answers = await asyncio.to_thread(
            assembly.answer,
            database_of(request),
            principal.tenant,
            [lookup.value],
            lookup.type,
            moment,
        )
        return json_response(answers[0])
    lookups: Lookups = request.app.state.lookups
    return Response(
        await lookups.look_up(principal.tenant, lookup.value, lookup.type),
        media_type="application/json",
    )


@router.post(
    "/lookup",
    responses=struct_response(LookupAnswers),
    openapi_extra=openapi_security("observables:read") | schemas.body(schemas.LookupRequest),
)
async def look_up_many(request: Request) -> Response:
    """Look up to 10,000 values up, now or as recorded at a moment."""
    principal = authorize(request, "observables:read")
    try:
        lookup = schemas.LookupRequest.model_validate_json(
            (await request.body()).decode("utf-8-sig")
        )
    except ClientDisconnect:
        raise HTTPException(400, "The body ended before it was whole.") from None
    except UnicodeDecodeError as error:
        raise HTTPException(422, "The body is not UTF-8.") from error
    except ValidationError as error:
        raise RequestValidationError(
            [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
        ) from None
    lookups: Lookups = request.app.state.lookups
    if (moment := service.check_past(lookup.as_of)) is None:
        return Response(
            await lookups.look_up_many(
                principal.tenant, lookup.values, lookup.type, describe=lookup.describe
            ),
            media_type="application/json",
        )
    answers = await asyncio.to_thread(
        assembly.answer, database_of(request), principal.tenant, lookup.values, lookup.type, moment
    )
    return json_response(LookupAnswers(answers, UNKNOWN))


def _filter(
    source: Annotated[UUID | None, Query(description="only what this feed asserts")] = None,
    type_: Annotated[ObservableType | None, Query(alias="type")] = None,
    min_score: Annotated[
        int | None, Query(ge=0, le=100, description="score as last published")
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


Filtered = Annotated[Filter, Depends(_filter)]
After = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000)]


Direction = Annotated[
    Literal["in", "out"] | None, Query(description="only from it (`out`), or only to it (`in`)")
]


@router.get("/observables", responses=struct_response(DatedPage))
def list_observables(
    request: Request,
    principal: Reader,
    conditions: Filtered,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """List observables in the order of their ids, or below something in that of its keys."""
    page = service.page(database_of(request), principal.tenant, conditions, after, limit)
    return _dated(request, page, DatedPage)


@router.get("/observables/count", response_model=schemas.ObservableCount)
def count_observables(request: Request, principal: Reader, conditions: Filtered) -> dict[str, int]:
    """Count the observables that match."""
    return {"count": service.count(database_of(request), principal.tenant, conditions)}


@router.get("/observables/{identity}", responses=struct_response(DatedObservable))
def get_observable(
    request: Request, principal: Reader, identity: StixId, as_of: AsOf = None
) -> Response:
    """Get an observable by its STIX id, now or as recorded at a moment."""
    moment = service.check_past(as_of)
    view = service.observable(database_of(request), principal.tenant, identity, moment)
    return _dated(request, view, DatedObservable, moment)


@router.get("/observables/{identity}/explain", responses=struct_response(DatedExplanation))
def explain_observable(
    request: Request, principal: Reader, identity: StixId, as_of: AsOf = None
) -> Response:
    """Explain a score by its parts, now or as recorded at a moment."""
    moment = service.check_past(as_of)
    explanation = service.explain(database_of(request), principal.tenant, identity, moment)
    return _dated(request, explanation, DatedExplanation, moment)


@router.get("/observables/{identity}/relations", responses=struct_response(RelationPage))
def list_relations(
    request: Request,
    principal: Reader,
    identity: StixId,
    kind: RelationKind | None = None,
    direction: Direction = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """List the relations of an observable, the last seen first."""
    return json_response(
        service.list_relations(
            database_of(request), principal.tenant, identity, kind, direction, after, limit
        )
    )


@router.get("/observables/{identity}/relations/counts", responses=struct_response(RelationCounts))
def count_relations(request: Request, principal: Reader, identity: StixId) -> Response:
    """Count the relations of an observable by kind and direction, up to 100,000."""
    return json_response(service.count_relations(database_of(request), principal.tenant, identity))
