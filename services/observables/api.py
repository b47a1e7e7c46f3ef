"""The observables API: look up, list, explain."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Request

from services.observables import questions, schemas
from shared.api import allow, create_api
from shared.auth import Principal
from shared.database import Database
from shared.settings import Settings
from shared.stix import ObservableType

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, allow("observables:read")]
SourceFilter = Annotated[UUID | None, Query(description="only what this feed asserts")]
TypeFilter = Annotated[ObservableType | None, Query(alias="type")]
ScoreFilter = Annotated[int | None, Query(ge=0, le=100)]


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The observables service's API."""
    return create_api("observables", "observables", [router], settings, database)


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


@router.post("/lookup", response_model=schemas.LookupResponse)
def look_up(request: Request, who: Reader, asked: schemas.LookupRequest) -> dict[str, Any]:
    """What is known about up to 10,000 values."""
    return {"items": questions.lookup(_database(request), who.tenant, asked.values)}


@router.get("/observables", response_model=schemas.Page)
def list_observables(  # a route's parameters are its documentation
    request: Request,
    who: Reader,
    source: SourceFilter = None,
    type_: TypeFilter = None,
    min_score: ScoreFilter = None,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Observables in the order of their ids."""
    wanted = questions.Filter(source, type_, min_score)
    return questions.page(_database(request), who.tenant, wanted, after, limit)


@router.get("/observables/count", response_model=schemas.Count)
def count_observables(
    request: Request,
    who: Reader,
    source: SourceFilter = None,
    type_: TypeFilter = None,
    min_score: ScoreFilter = None,
) -> dict[str, int]:
    """How many observables match."""
    return {"count": questions.count(_database(request), who.tenant, questions.Filter(source, type_, min_score))}


@router.get("/observables/{identity}", response_model=schemas.Observable)
def get_observable(request: Request, who: Reader, identity: str) -> dict[str, Any]:
    """One observable by its STIX id."""
    return questions.observable(_database(request), who.tenant, identity)


@router.get("/observables/{identity}/explain", response_model=schemas.Explanation)
def explain_observable(request: Request, who: Reader, identity: str) -> dict[str, Any]:
    """Why the score is what it is."""
    return questions.explain(_database(request), who.tenant, identity)


@router.get("/sources", response_model=list[schemas.Source])
def list_sources(request: Request, who: Reader) -> list[dict[str, Any]]:
    """The sources this tenant sees."""
    return questions.sources(_database(request), who.tenant)


@router.get("/runs/{run_id}", response_model=schemas.RunProgress)
def get_run(request: Request, who: Reader, run_id: UUID) -> dict[str, Any]:
    """How much of a feed run is stored already."""
    return questions.run(_database(request), who.tenant, run_id)


@router.post("/reconcile")
def reconcile(_who: Annotated[Principal, allow("platform:reconcile")]) -> dict[str, Any]:
    """Send again what the queue lost; this service keeps no work in its queue."""
    return {"status": "ok", "enqueued": 0}
