"""Inhibitions as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, computed_field

from services.notifications.silences.activity import parse_silence
from shared.filters.tokens import MAX_BYTES

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Filter = Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]
Label = Literal[
    "source.name", "observable.type", "observable.value", "observable.id", "change.kind"
]
HoldSeconds = Annotated[int, Field(ge=10, le=604_800)]


class InhibitionCreate(BaseModel):
    """A new inhibition."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    enabled: bool = True
    source_filter: Filter = Field(
        description="The matches of rules that make it fire, for instance"
        ' `rule.name == "Our domains" && change.score >= 80`.'
    )
    target_filter: Filter = Field(
        description='The matches that it then holds, for instance `rule.severity == "low"`.'
        " What makes it fire is never held by it."
    )
    equal: list[Label] = Field(
        default=[],
        max_length=5,
        description="Fields in which both have to be equal. None: it holds all that is a target.",
    )
    hold_seconds: HoldSeconds = Field(
        3600, description="How long it holds after the match that made it fire last."
    )


class InhibitionPatch(BaseModel):
    """Changes of an inhibition; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    enabled: bool | None = None
    source_filter: Filter | None = None
    target_filter: Filter | None = None
    equal: list[Label] | None = Field(None, max_length=5)
    hold_seconds: HoldSeconds | None = None


class InhibitionView(BaseModel):
    """An inhibition."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    enabled: bool
    source_filter: str
    target_filter: str
    equal: list[str]
    hold_seconds: int
    author: str
    created_at: datetime
    updated_at: datetime

    @computed_field(description="The inhibition in words.")  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """The inhibition in words."""
        source = parse_silence(self.source_filter).sentence
        target = parse_silence(self.target_filter).sentence
        labels = f", with equal {' and '.join(self.equal)}" if self.equal else ""
        return f"When {source}, it holds matches of which {target}{labels}."


class InhibitionFiringView(BaseModel):
    """A time in which an inhibition holds what has some labels."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    match_count: int = Field(description="The matches that it has held.")


class InhibitionDetail(InhibitionView):
    """An inhibition with what it holds now."""

    firings: list[InhibitionFiringView] = Field(description="Those of now, a hundred at most.")


class InhibitionPreviewBody(BaseModel):
    """An inhibition to try on what was matched lately."""

    model_config = ConfigDict(extra="forbid")

    inhibition: InhibitionCreate
    hours: int = Field(24, ge=1, le=168)


class InhibitionPreview(BaseModel):
    """What an inhibition would have done.

    The newest batches of matches are looked at, 500 at most.
    """

    looked_at: int
    firing_count: int
    match_count: int = Field(description="The matches that it would have held.")
    by_rule: dict[str, int]
    examples: list[dict[str, Any]] = Field(description="The first ten that it would have held.")
