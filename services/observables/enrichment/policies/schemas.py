"""Enrichment policies in the API."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Words = Annotated[list[Word], Field(max_length=200)]
Budget = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PolicyCreate(_Body):
    """Which changes of observables are sent to which enrichers; an empty list means any."""

    name: Name
    enabled: bool = True
    enrichers: Annotated[Words, Field(min_length=1)]
    types: Words = Field(default_factory=list)
    sources: Words = Field(default_factory=list, description="names of feeds")
    tags: Words = Field(default_factory=list, description="any of these")
    min_score: Annotated[int, Field(ge=0, le=100)] = 0
    depth: Annotated[int, Field(ge=0, le=3)] = Field(
        0, description="how many answers away the new observables of answers are followed"
    )
    daily_budget: Budget | None = Field(None, description="jobs in a day (UTC)")


class PolicyPatch(_Body):
    """Changes of a policy."""

    name: Name | None = None
    enabled: bool | None = None
    enrichers: Annotated[Words, Field(min_length=1)] | None = None
    types: Words | None = None
    sources: Words | None = None
    tags: Words | None = None
    min_score: Annotated[int, Field(ge=0, le=100)] | None = None
    depth: Annotated[int, Field(ge=0, le=3)] | None = None
    daily_budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A policy, and what it has asked today."""

    id: UUID
    name: str
    enabled: bool
    enrichers: list[str]
    types: list[str]
    sources: list[str]
    tags: list[str]
    min_score: int
    depth: int
    daily_budget: int | None
    created_at: datetime
    created_by: str
    queries_today: int
    over_budget_today: int


@dataclass(frozen=True, slots=True)
class PolicyForecast:
    """What a policy would have asked, had it existed."""

    days: int
    changes: Annotated[int, Field(description="changes of observables in these days")]
    calls: Annotated[
        int, Field(description="jobs; those that their answers would have led to do not count")
    ]
    by_enricher: dict[str, int]
    by_day: dict[str, int]
    over_budget: Annotated[int, Field(description="jobs that the daily budget had no room for")]
    refused: Annotated[dict[str, int], Field(description="queries that may not be sent, by reason")]
    examples: Annotated[list[tuple[str, str]], Field(description="value and enricher of some jobs")]


class AppliedPolicy(BaseModel):
    """How many jobs a policy stored about the past."""

    stored: int = Field(serialization_alias="queries")
