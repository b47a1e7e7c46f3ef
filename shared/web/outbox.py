"""Routes of a service's outbox, for operators: what Kafka refuses, and what to publish again."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from shared.auth import Principal
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import NotFound
from shared.kafka import outbox_upkeep
from shared.kafka.outbox import audit
from shared.kafka.outbox_upkeep import ParkedEvent
from shared.pagination import Page, PageSchema, decode_cursor, paginate
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1/outbox", tags=["operations"])

Operator = Annotated[Principal, require_permission("outbox:operate")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]
TopicName = Annotated[str, Field(max_length=249)]


class ParkedEventView(BaseModel):
    """An event that Kafka refuses."""

    id: int
    topic: str
    key: str | None = Field(description="the record's key")
    tenant: str
    size: int = Field(description="bytes of the payload")
    attempts: int
    reason: str
    created_at: datetime
    parked_at: datetime


class OutboxView(BaseModel):
    """The state of the outbox."""

    model_config = ConfigDict(from_attributes=True)

    waiting: int = Field(description="events that are still to be published")
    oldest_seconds: float = Field(description="age of the oldest of them")
    parked: int = Field(description="events that Kafka refuses")


class ParkedEventIds(BaseModel):
    """Parked events, by their ids."""

    # JSON Schema's bounds are floats in the document: 2**63 - 1 would stand there as 2**63.
    ids: list[Annotated[int, Field(ge=1, le=2**53 - 1)]] = Field(min_length=1, max_length=1000)


class ResendOrder(BaseModel):
    """What to publish again: what was published since a time."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime
    topics: list[TopicName] = Field(default=[], max_length=100, description="all topics if empty")


class ResentEvents(BaseModel):
    """How many events are published again."""

    events: int


@router.get("")
def get_outbox(_principal: Operator, database: OwnDatabase) -> OutboxView:
    """How many events wait, and how many Kafka refuses."""
    with database.transaction(PLATFORM) as session:
        return OutboxView.model_validate(outbox_upkeep.count_outbox(session))


@router.get("/parked", response_model=PageSchema[ParkedEventView])
def list_parked(
    _principal: Operator, database: OwnDatabase, after: After = None, limit: Limit = 100
) -> Page[ParkedEventView]:
    """Events that Kafka refuses, the oldest first."""
    place = decode_cursor(after, tuple[int])
    with database.transaction(PLATFORM) as session:
        rows = outbox_upkeep.list_parked(session, limit + 1, place[0] if place else 0)
    return paginate(rows, limit, lambda row: (row.id,)).map(_view)


@router.post("/parked/retry")
def retry_parked(
    principal: Operator, database: OwnDatabase, body: ParkedEventIds
) -> ParkedEventIds:
    """Publish parked events after all, before those that wait now."""
    return _change_parked(principal, database, body, "outbox.retry", outbox_upkeep.retry_parked)


@router.post("/parked/discard")
def discard_parked(
    principal: Operator, database: OwnDatabase, body: ParkedEventIds
) -> ParkedEventIds:
    """Delete parked events: nobody will ever receive them."""
    return _change_parked(principal, database, body, "outbox.discard", outbox_upkeep.discard_parked)


@router.post("/resend")
def resend(principal: Operator, database: OwnDatabase, body: ResendOrder) -> ResentEvents:
    """Publish again what was published since a time, with the same ids.

    It is for a log that has lost its tail. Only events of the last `SENTINELIQ_OUTBOX_KEEP_HOURS`
    are still there.
    """
    with database.transaction(PLATFORM) as session:
        events = outbox_upkeep.resend(session, body.since, body.topics)
        since = body.since.isoformat()
        audit(
            session,
            database.service,
            PUBLIC,
            principal.actor,
            "outbox.resend",
            since,
            events=str(events),
            topics=", ".join(body.topics),
        )
    return ResentEvents(events=events)


def _check_all(requested: Sequence[int], found_ids: Sequence[int]) -> None:
    """Refuse a request that names an event which is not parked; nothing of it is done then.

    Raises:
        NotFound: the first such event.
    """
    missing = sorted(set(requested) - set(found_ids))
    if missing:
        raise NotFound(f"No event {missing[0]} is parked.")


def _view(event: ParkedEvent) -> ParkedEventView:
    key = None if event.key is None else event.key.decode("utf-8", "backslashreplace")
    return ParkedEventView(**{**asdict(event), "key": key})


def _change_parked(
    principal: Principal,
    database: Database,
    body: ParkedEventIds,
    action: str,
    change: Callable[[Session, list[int]], list[int]],
) -> ParkedEventIds:
    """Change parked events, all of them or none, and write each into the audit."""
    with database.transaction(PLATFORM) as session:
        ids = change(session, body.ids)
        _check_all(body.ids, ids)
        for parked_id in ids:
            audit(session, database.service, PUBLIC, principal.actor, action, parked_id)
    return ParkedEventIds(ids=ids)
