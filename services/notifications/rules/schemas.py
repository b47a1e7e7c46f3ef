"""Rules as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from services.notifications.rules.expression import parse_rule_filter
from services.notifications.rules.matching import Occasion
from shared.filters.tokens import MAX_BYTES
from shared.stix import ObservableType

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]

Filter = Annotated[str, Field(max_length=MAX_BYTES)]


class RuleCreate(BaseModel):
    """A new rule; an empty list means any."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    enabled: bool = True
    on: list[Occasion] = Field(
        default=["new", "changed"],
        min_length=1,
        max_length=4,
        description="Kinds of change; health: a feed's health improves or degrades.",
    )
    types: list[ObservableType] = Field(default=[], max_length=50)
    min_score: int | None = Field(
        None, ge=1, le=100, description="Matches what is new at, or rises to, this score."
    )
    sources: list[Word] = Field(default=[], max_length=500, description="Names of feeds.")
    tags: list[Word] = Field(default=[], max_length=500, description="Any of these.")
    filter: Filter = Field(
        "",
        description="An expression that has to match, too, for instance"
        ' `observable.value.under("example.com") && change.score >= 50`.',
    )
    channel_ids: list[UUID] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if self.on == ["changed"] and self.min_score is None and not self.filter:
            raise ValueError(
                "min_score or filter is needed with on=['changed']: a change is news when it"
                " crosses a score, or when a filter says so"
            )
        return self


class RulePatch(BaseModel):
    """Changes of a rule; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    enabled: bool | None = None
    on: list[Occasion] | None = Field(None, min_length=1, max_length=4)
    types: list[ObservableType] | None = Field(None, max_length=50)
    min_score: int | None = Field(None, ge=1, le=100)
    sources: list[Word] | None = Field(None, max_length=500)
    tags: list[Word] | None = Field(None, max_length=500)
    filter: Filter | None = None
    channel_ids: list[UUID] | None = Field(None, min_length=1, max_length=20)


class RuleView(BaseModel):
    """A rule."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    enabled: bool
    on: list[Occasion]
    types: list[str]
    min_score: int | None
    sources: list[str]
    tags: list[str]
    filter: str
    channel_ids: list[UUID]
    created_at: datetime
    updated_at: datetime

    @computed_field(description="The filter in words.")  # type: ignore[prop-decorator]
    @property
    def filter_sentence(self) -> str | None:
        """The filter in words; None if there is none."""
        return parse_rule_filter(self.filter).sentence if self.filter else None
