"""What the API takes and gives."""

from base64 import b64decode
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.notifications.rules.matching import Occasion
from shared.stix import ObservableType

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _is_secret(text: str) -> str:
    """Accepts what Standard Webhooks calls a secret: 24 to 64 bytes."""
    try:
        size = len(b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not text.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError("a signing secret is whsec_ followed by 24 to 64 bytes in base64")
    return text


Secret = Annotated[str, AfterValidator(_is_secret)]
DeliveryState = Literal["pending", "delivering", "delivered", "failed"]
Item = TypeVar("Item")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the page after it."""

    items: list[Item]
    next: str | None


class ChannelCreate(_Body):
    """A new channel; a signing kind makes its own secret when none is given."""

    name: Name
    kind: Name
    config: dict[str, Any] = Field(default_factory=dict)
    secret: Secret | None = None
    enabled: bool = True


class ChannelPatch(_Body):
    """What to change of a channel."""

    name: Name | None = None
    config: dict[str, Any] | None = None
    secret: Secret | None = None
    enabled: bool | None = None


class ChannelView(_Row):
    """A channel as it is read: never with its secret."""

    id: UUID
    name: str
    kind: str
    config: dict[str, Any]
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


class ChannelCreated(ChannelView):
    """A channel just made: the only time its signing secret is shown."""

    secret: str | None


class SampleOutcome(BaseModel):
    """What became of a sample notification."""

    state: Literal["delivered", "failed"]
    response_status: int | None = None
    error: dict[str, Any] | None = None
    milliseconds: int


class RuleCreate(_Body):
    """A new rule; an empty list means any."""

    name: Name
    enabled: bool = True
    on: list[Occasion] = Field(
        default=["new", "changed"],
        min_length=1,
        max_length=4,
        description="Kinds of change; health: a feed is doing better or worse.",
    )
    types: list[ObservableType] = Field(default=[], max_length=50)
    min_score: int | None = Field(
        None, ge=1, le=100, description="Matches what is new at, or rises to, this score."
    )
    sources: list[Word] = Field(default=[], max_length=500, description="Names of feeds.")
    tags: list[Word] = Field(default=[], max_length=500, description="Any of these.")
    channel_ids: list[UUID] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if self.on == ["changed"] and self.min_score is None:
            raise ValueError(
                "min_score is needed with on=['changed']: a change is news when it crosses a score"
            )
        return self


class RulePatch(_Body):
    """What to change of a rule."""

    name: Name | None = None
    enabled: bool | None = None
    on: list[Occasion] | None = Field(None, min_length=1, max_length=4)
    types: list[ObservableType] | None = Field(None, max_length=50)
    min_score: int | None = Field(None, ge=1, le=100)
    sources: list[Word] | None = Field(None, max_length=500)
    tags: list[Word] | None = Field(None, max_length=500)
    channel_ids: list[UUID] | None = Field(None, min_length=1, max_length=20)


class RuleView(_Row):
    """A rule as it is read."""

    id: UUID
    name: str
    enabled: bool
    on: list[Occasion]
    types: list[str]
    min_score: int | None
    sources: list[str]
    tags: list[str]
    channel_ids: list[UUID]
    created_at: datetime
    updated_at: datetime


class DeliveryView(_Row):
    """One line of the ledger."""

    id: UUID
    rule_id: UUID
    rule: str
    channel_id: UUID
    channel: str
    event_id: str
    source: str
    state: DeliveryState
    match_count: int
    attempts: int
    next_attempt_at: datetime | None
    last_error: dict[str, Any] | None
    response_status: int | None
    event_at: datetime
    created_at: datetime
    finished_at: datetime | None


class DeliveryDetail(DeliveryView):
    """A delivery with everything it is about."""

    matches: list[dict[str, Any]]


class Reconciled(BaseModel):
    """What a reconciliation did."""

    status: Literal["ok"] = "ok"
    enqueued: int
