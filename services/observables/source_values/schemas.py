"""The value of sources in the API."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class SourceCost(BaseModel):
    """What a source costs."""

    model_config = ConfigDict(extra="forbid")

    yearly_cost: float = Field(ge=0, le=1e9, allow_inf_nan=False, description="in a year")
    currency: Annotated[str, Field(max_length=3, pattern=r"^[A-Z]{3}$")] = Field(
        "EUR", description="of ISO 4217, such as EUR"
    )


class SourceValueView(BaseModel):
    """What a source is worth."""

    id: UUID
    tenant: str
    name: str
    applied_at: datetime | None = Field(description="when its newest chunk was applied")
    observables: int = Field(description="that it lists now")
    unique: int = Field(description="of them those that no other source lists")
    unique_share: float = Field(description="0 to 1")
    shared: int = Field(description="of them those that others list as well")
    first: int = Field(description="of the shared ones those that it listed before all others")
    lead_seconds: float | None = Field(description="the median of how long before the second")
    lag_seconds: float | None = Field(
        description="the median of how long after the first it listed what others listed first"
    )
    fresh_day: int = Field(description="listed for a day at most")
    fresh_week: int = Field(description="listed for seven days at most")
    fresh_month: int = Field(description="listed for thirty days at most")
    harmless: int = Field(description="that an allow-list names as harmless")
    false_positives: int = Field(description="that somebody has reported as false positives")
    sightings: int = Field(description="that were seen or confirmed as malicious in this tenant")
    yearly_cost: float | None = Field(description="as it was stated; null if it was not")
    currency: str
    cost_per_unique: float | None = Field(
        description="of the yearly cost, for each observable that no other source lists"
    )


class CoverView(BaseModel):
    """The smallest set of sources that lists 95 % of what all list."""

    sources: list[str] = Field(description="names; the one that adds the most first")
    reached: list[int] = Field(description="observables that the sources up to each list together")
    is_smallest: bool = Field(
        description="whether no smaller set reaches it; false where there are too many to try"
    )


class SourceValueReport(BaseModel):
    """What the sources that a tenant sees are worth, beside each other."""

    reported_at: datetime
    observables: int = Field(description="that all sources list together")
    sources: list[SourceValueView] = Field(description="by name")
    overlaps: list[list[int]] = Field(
        description="how many observables each two share, in the order of the sources; how many "
        "each lists, in the diagonal"
    )
    cover: CoverView
