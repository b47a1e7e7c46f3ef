"""The routes of sightings and of relations that users report."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.observables.sightings import schemas, service
from services.observables.sightings.service import ReportedRelation, SightingReport
from services.observables.store.references import StixId, observable_of
from services.observables.store.schemas import ReferenceView
from shared.auth import Principal
from shared.errors import InvalidInput
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Writer = Annotated[Principal, require_permission("observables:write")]


@router.post("/sightings", status_code=201)
def report_sightings(
    request: Request, principal: Writer, body: schemas.SightingsRequest
) -> dict[str, list[schemas.SightingResult]]:
    """Report where observables were seen, or that they are harmless; each report counts once."""
    reports = [
        _report(sighting, number, principal) for number, sighting in enumerate(body.sightings)
    ]
    outcomes = service.report(database_of(request), principal.tenant, principal.actor, reports)
    return {
        "items": [
            schemas.SightingResult(
                id=f"sighting--{outcome.report.id}",
                repeated=outcome.is_repeated,
                observable=ReferenceView.model_validate(outcome.observable, from_attributes=True),
            )
            for outcome in outcomes
        ]
    }


def _report(sighting: schemas.SightingCreate, number: int, principal: Principal) -> SightingReport:
    field = f"sightings.{number}"
    observable = observable_of(sighting.value, sighting.type, f"{field}.value")
    first, last = _span(sighting.first_seen, sighting.last_seen, field)
    # Without an id and times of its own, each report is another sighting.
    identity = sighting.id or service.report_id(
        principal.tenant,
        principal.actor,
        observable.type,
        observable.value,
        sighting.kind,
        sighting.count,
        sighting.place,
        first,
        last,
    )
    return SightingReport(
        identity,
        observable,
        sighting.kind,
        sighting.count,
        sighting.place,
        sighting.note,
        first,
        last,
    )


def _span(first: datetime | None, last: datetime | None, field: str) -> tuple[datetime, datetime]:
    """The first and the last moment of a report; what is left out is now."""
    now = datetime.now(UTC)
    start = first or last or now
    end = last or now
    if start > end or end > now:
        raise InvalidInput(
            f"{field}: first_seen, last_seen and now have to follow each other.", field=field
        )
    return start, end


@router.delete("/sightings/{identity}", status_code=204)
def withdraw_sighting(request: Request, principal: Writer, identity: StixId) -> None:
    """Withdraw a report that was wrong; answers about the time before it stay as they were."""
    service.withdraw(
        database_of(request), principal.tenant, principal.actor, _sighting_uuid(identity)
    )


def _sighting_uuid(identity: str) -> UUID:
    """The UUID of a sighting, with or without `sighting--` before it.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        return UUID(identity.removeprefix("sighting--"))
    except ValueError:
        raise InvalidInput(
            f"{identity!r} is no id of a sighting: expected is sighting--<UUID>, or the UUID.",
            field="id",
        ) from None


@router.post("/relations", status_code=201)
def report_relations(
    request: Request, principal: Writer, body: schemas.RelationsRequest
) -> dict[str, list[schemas.Related]]:
    """Report what known observables have to do with each other."""
    relations = [_relation(relation, number) for number, relation in enumerate(body.relations)]
    stored = service.relate(database_of(request), principal.tenant, principal.actor, relations)
    return {"items": [schemas.Related(from_=start, to=end) for start, end in stored]}


def _relation(relation: schemas.RelationCreate, number: int) -> ReportedRelation:
    field = f"relations.{number}"
    first, last = _span(relation.first_seen, relation.last_seen, field)
    start = observable_of(relation.from_, relation.from_type, f"{field}.from")
    end = observable_of(relation.to, relation.to_type, f"{field}.to")
    return ReportedRelation(start, relation.kind, end, first, last)
