"""Silences as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.filters.tokens import MAX_BYTES

Filter = Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]


class SilenceCreate(BaseModel):
    """A new silence."""

    model_config = ConfigDict(extra="forbid")

    filter: Filter = Field(
        description="Which matches nobody is told of, for instance"
        ' `rule.name == "Ours" && observable.value.under("example.com")`.'
    )
    reason: Reason
    starts_at: AwareDatetime | None = Field(None, description="By default now.")
    ends_at: AwareDatetime = Field(description="What was held is summed up then.")


class SilencePatch(BaseModel):
    """Changes of a silence; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason | None = None
    ends_at: AwareDatetime | None = None


class SilenceView(BaseModel):
    """A silence."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    filter: str
    reason: str
    author: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    ended_by: str | None
    state: Literal["planned", "active", "ended"]
    filter_sentence: str = Field(description="The filter in words.")


class SilenceDetail(SilenceView):
    """A silence with what it has held; 0 says that it matches nothing."""

    match_count: int


class SilencePreviewBody(BaseModel):
    """A filter to try on what was matched lately."""

    model_config = ConfigDict(extra="forbid")

    filter: Filter
    hours: int = Field(24, ge=1, le=168)


class SilencePreview(BaseModel):
    """What a silence would have held.

    The newest matches are looked at, 20,000 at most.
    """

    match_count: int
    looked_at: int
    by_rule: dict[str, int]
    examples: list[dict[str, Any]] = Field(description="The first ten.")
