"""Routes of a service's consumers, for operators: how far they are, what is halted or lost."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from shared.auth import Principal
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import NotFound
from shared.kafka import offsets
from shared.kafka.gaps import newest_gaps
from shared.kafka.outbox import audit
from shared.telemetry.logging import get_logger
from shared.web.app import database_of, require_permission

log = get_logger(__name__)

router = APIRouter(prefix="/v1/consumers", tags=["operations"])

Operator = Annotated[Principal, require_permission("consumers:operate")]
OwnDatabase = Annotated[Database, Depends(database_of)]


class PartitionView(BaseModel):
    """A partition of a topic, as far as the service's consumers have applied it."""

    model_config = ConfigDict(from_attributes=True)

    group: str = Field(description="the consumer group, and the id of the cluster")
    topic: str = Field(description="with the installation's prefix")
    partition: int
    last_offset: int = Field(description="of the last record that was applied; -1 if there is none")
    last_event_id: str | None = Field(description="`ce_id` of that record")
    dead_letters: int = Field(description="among the last 1,000 records")
    halted_at: datetime | None = Field(description="null while the partition is consumed")
    halted_reason: str | None
    halted_version: str | None = Field(
        description="the versions of the code that halted it since it was last released by a person"
    )


class GapView(BaseModel):
    """A place where a log did not continue where its consumer was."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    topic: str
    partition: int
    kind: str = Field(description="expired, recreated, replaced, rewound or truncated")
    last_offset: int = Field(description="of the last record that was applied before")
    log_start: int
    log_end: int
    resumed_at: int = Field(description="the offset at which consuming went on")
    noticed_at: datetime
    repaired_at: datetime | None = Field(description="when the repair was requested")
    repair: str | None = Field(description="what was requested, or what you have to do")


class ConsumersView(BaseModel):
    """All partitions, and the newest gaps."""

    partitions: list[PartitionView]
    gaps: list[GapView]


class ReleaseOrder(BaseModel):
    """What to release."""

    model_config = ConfigDict(extra="forbid")

    topic: str = Field(
        max_length=249, description="the topic's name, with or without the installation's prefix"
    )
    partition: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="all partitions if it is absent"
    )
    allow: int = Field(
        default=0, ge=0, le=1_000_000, description="dead letters that may come beyond the limit"
    )


class LetterRetries(BaseModel):
    """The dead letters that an operator sends again."""

    model_config = ConfigDict(extra="forbid")

    letters: list[Annotated[str, Field(min_length=1, max_length=300)]] = Field(
        min_length=1, max_length=1000, description="as `sentineliq dead list` names them"
    )
    vouches: bool = Field(
        default=False, description="whether the operator signs them in place of their service"
    )


class ReleasedPartitions(BaseModel):
    """The partitions that were released."""

    partitions: list[PartitionView]


@router.get("")
def get_consumers(_principal: Operator, database: OwnDatabase) -> ConsumersView:
    """How far the service's consumers are, which partitions are halted, and what logs lost."""
    with database.transaction(PLATFORM) as session:
        partitions = offsets.partition_summaries(session)
        gaps = newest_gaps(session)
    return ConsumersView(
        partitions=[PartitionView.model_validate(summary) for summary in partitions],
        gaps=[GapView.model_validate(gap) for gap in gaps],
    )


@router.post("/retries", status_code=204)
def record_retries(principal: Operator, database: OwnDatabase, body: LetterRetries) -> None:
    """Record that dead letters are sent again, before they are."""
    with database.transaction(PLATFORM) as session:
        for letter in body.letters:
            details = {"vouches": "true"} if body.vouches else {}
            audit(
                session, database.service, PUBLIC, principal.actor, "dead.retry", letter, **details
            )


@router.post("/release")
def release(principal: Operator, database: OwnDatabase, body: ReleaseOrder) -> ReleasedPartitions:
    """Consume halted partitions again.

    If the cause is not removed, they halt again, unless you allow more dead letters.
    """
    with database.transaction(PLATFORM) as session:
        released = offsets.release_partitions(session, body.topic, body.partition, body.allow)
        if not released:
            raise NotFound(f"No partition of {body.topic} is halted here.")
        for summary in released:
            audit(
                session,
                database.service,
                PUBLIC,
                principal.actor,
                "consumers.release",
                f"{summary.topic}/{summary.partition}",
                allow=str(body.allow),
                reason=(summary.halted_reason or "")[:500],
            )
    for summary in released:
        name = f"{summary.topic}/{summary.partition}"
        log.warning("consumer.released", partition=name, actor=principal.actor)
    return ReleasedPartitions(
        partitions=[PartitionView.model_validate(summary) for summary in released]
    )
