"""The routes that look observables up: by value, by id, in lists."""

import asyncio
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from services.observables.lookup import assembly, schemas, service
from services.observables.lookup.batching import Lookups
from services.observables.lookup.repository import Filter
from services.observables.reference.data_dates import UNKNOWN, DatasetDates
from services.observables.sightings.schemas import RelationKind
from services.observables.store.search_keys import check_literal
from services.observables.store.search_keys import under as ranges_under
from shared.auth import Principal
from shared.stix import ObservableType
from shared.timestamps import Timestamp
from shared.web.app import (
    FastPath,
    authorize,
    database_of,
    json_response,
    openapi_security,
    require_permission,
)

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]
AsOf = Annotated[
    Timestamp | None, Query(description="answer with what was known at this moment (RFC 3339)")
]


def fast_path(lookups: Lookups) -> FastPath:
    """The lookup of one value now, answered without the framework."""
    return FastPath(
        "/v1/lookup",
        "observables:read",
        lambda principal, query: _plain_lookup(lookups, principal.tenant, query),
    )


async def _plain_lookup(lookups: Lookups, tenant: str, query: bytes) -> bytes | None:
    """What is known about one value now, when the query asks for nothing else."""
    name, _, text = query.partition(b"=")
    if name != b"value" or b"&" in text or len(query) > _PLAIN:
        return None
    value = unquote_plus(text.decode("latin-1"))  # as Starlette reads a query
    return await lookups.one(tenant, value)


def _dated(request: Request, answer: msgspec.Struct, as_of: datetime | None = None) -> Response:
    """An answer with the dates of the reference data behind it; those of the past are not recorded."""
    data_dates: DatasetDates = request.app.state.data_dates
    dates = UNKNOWN if as_of is not None else data_dates.get()
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
    principal = authorize(request, "observables:read")
    try:
        lookup = _LOOKUP.validate_python(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(
            [{**problem, "loc": ("query", *problem["loc"])} for problem in error.errors()]
        ) from None
    if (moment := service.past(lookup.as_of)) is not None:
        then = await asyncio.to_thread(
            assembly.answer,
            database_of(request),
            principal.tenant,
            [lookup.value],
            lookup.type,
            moment,
        )
        return json_response(then[0])
    lookups: Lookups = request.app.state.lookups
    return Response(
        await lookups.one(principal.tenant, lookup.value, lookup.type),
        media_type="application/json",
    )


@router.post(
    "/lookup",
    response_model=schemas.LookupResponse,
    openapi_extra=openapi_security("observables:read") | schemas.body(schemas.LookupRequest),
)
async def look_up(request: Request) -> Response:
    """What is known about up to 10,000 values, now or at a moment of the past."""
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
    if (moment := service.past(lookup.as_of)) is None:
        return Response(
            await lookups.many(
                principal.tenant, lookup.values, lookup.type, describe=lookup.describe
            ),
            media_type="application/json",
        )
    then = await asyncio.to_thread(
        assembly.answer, database_of(request), principal.tenant, lookup.values, lookup.type, moment
    )
    return json_response({"items": then, "reference": UNKNOWN})


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


Filtered = Annotated[Filter, Depends(_filter)]
After = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/observables", response_model=schemas.Page)
def list_observables(
    request: Request,
    principal: Reader,
    conditions: Filtered,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Observables in the order of their ids; below something, in the order of names and addresses."""
    return _dated(
        request, service.page(database_of(request), principal.tenant, conditions, after, limit)
    )


@router.get("/observables/count", response_model=schemas.Count)
def count_observables(request: Request, principal: Reader, conditions: Filtered) -> dict[str, int]:
    """How many observables match."""
    return {"count": service.count(database_of(request), principal.tenant, conditions)}


@router.get("/observables/{identity}", response_model=schemas.DatedObservable)
def get_observable(
    request: Request, principal: Reader, identity: str, as_of: AsOf = None
) -> Response:
    """One observable by its STIX id, now or as it was known at a moment of the past."""
    moment = service.past(as_of)
    return _dated(
        request,
        service.observable(database_of(request), principal.tenant, identity, moment),
        moment,
    )


@router.get("/observables/{identity}/explain", response_model=schemas.Explanation)
def explain_observable(
    request: Request, principal: Reader, identity: str, as_of: AsOf = None
) -> Response:
    """Why the score is what it is, or was."""
    moment = service.past(as_of)
    return _dated(
        request, service.explain(database_of(request), principal.tenant, identity, moment), moment
    )


@router.get("/observables/{identity}/relations", response_model=schemas.RelationPage)
def list_relations(
    request: Request,
    principal: Reader,
    identity: str,
    kind: RelationKind | None = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """What an observable has to do with others, what was seen last first."""
    return json_response(
        service.relations(database_of(request), principal.tenant, identity, kind, after, limit)
    )
