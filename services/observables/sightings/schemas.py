"""Sightings and relations as they are reported."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.observables.store.schemas import ReferenceView
from shared.stix import ObservableType
from shared.timestamps import Timestamp

SightingKind = Literal["seen", "confirmed-malicious", "false-positive"]
RelationKind = Literal[
    "resolves-to",
    "belongs-to",
    "part-of",
    "communicates-with",
    "downloaded-from",
    "same-report",
    "related-to",
]


class Value(BaseModel):
    """An observable by its value, defanged or not."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[str, Field(max_length=8192)]


class SightingCreate(Value):
    """One sighting to report; times are of the observation, now when left out."""

    type: ObservableType | None = Field(
        None, description="what it is; what it looks like when left out"
    )
    kind: SightingKind = "seen"
    id: UUID | None = Field(
        None, description="to send a report again without counting twice; made when left out"
    )
    count: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    place: Annotated[str, Field(max_length=200)] = ""
    note: Annotated[str, Field(max_length=2000)] = ""
    first_seen: Timestamp | None = None
    last_seen: Timestamp | None = None


class SightingsRequest(BaseModel):
    """Sightings to report."""

    model_config = ConfigDict(extra="forbid")

    sightings: Annotated[list[SightingCreate], Field(min_length=1, max_length=1000)]


class SightingResult(BaseModel):
    """What came of a report."""

    id: str
    repeated: bool = Field(description="it had been reported before and changed nothing")
    observable: ReferenceView


class RelationCreate(BaseModel):
    """One relation to report, between observables that are known."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: Annotated[str, Field(alias="from", max_length=8192)]
    kind: RelationKind
    to: Annotated[str, Field(max_length=8192)]
    from_type: ObservableType | None = Field(
        None, description="what `from` is; what it looks like when left out"
    )
    to_type: ObservableType | None = Field(
        None, description="what `to` is; what it looks like when left out"
    )
    first_seen: Timestamp | None = None
    last_seen: Timestamp | None = None


class RelationsRequest(BaseModel):
    """Relations to report."""

    model_config = ConfigDict(extra="forbid")

    relations: Annotated[list[RelationCreate], Field(min_length=1, max_length=1000)]


class Related(BaseModel):
    """STIX ids of the ends of a relation that was stored."""

    from_: Annotated[str, Field(serialization_alias="from")]
    to: str
