"""Channels as the API accepts and returns them."""

from base64 import b64decode
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.bounded_json import BoundedObject
from shared.stix.markings import TlpLevel

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _check_secret(text: str) -> str:
    """Accept the secrets of Standard Webhooks: 24 to 64 bytes."""
    try:
        size = len(b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not text.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError("a signing secret is whsec_ followed by 24 to 64 bytes in base64")
    return text


Secret = Annotated[str, Field(max_length=100), AfterValidator(_check_secret)]


class ChannelCreate(BaseModel):
    """A new channel. If its kind signs and no secret is given, one is generated."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    kind: Name
    config: BoundedObject = Field(default_factory=dict)
    secret: Secret | None = None
    credentials: BoundedObject | None = Field(
        default=None, description="Secrets of the receiver; no answer shows them."
    )
    enabled: bool = True
    max_tlp: TlpLevel = Field(
        default="amber+strict",
        description="The strictest marking of what it tells; what is marked above that is counted "
        "alone.",
    )


class ChannelPatch(BaseModel):
    """Changes of a channel; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    config: BoundedObject | None = None
    secret: Secret | None = None
    credentials: BoundedObject | None = None
    enabled: bool | None = None
    max_tlp: TlpLevel | None = None


class ChannelView(BaseModel):
    """A channel without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    kind: str
    config: dict[str, Any]
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime
    max_tlp: str


class ChannelCreated(ChannelView):
    """A new channel. No other answer shows its signing secret."""

    secret: str | None


class SampleOutcome(BaseModel):
    """The result of a sample notification."""

    state: Literal["delivered", "failed"]
    response_status: int | None = None
    error: dict[str, Any] | None = None
    milliseconds: int


class ChannelTypeView(BaseModel):
    """A kind of channel, with what a form needs to make a channel of it."""

    name: str
    summary: str
    config: dict[str, Any] = Field(description="JSON schema of `config`.")
    credentials: dict[str, Any] | None = Field(
        description="JSON schema of `credentials`; None if it needs none."
    )
    signs: bool = Field(description="Whether each channel has a signing secret.")
    can_render: bool = Field(description="Whether a dry run shows its documents.")
    can_thread: bool = Field(description="Whether updates of a group join its opening.")
    can_find: bool = Field(description="Whether the receiver is asked after an unknown outcome.")
    recognises_repeats: bool
    limits: dict[str, float | None]


class ChannelTypeList(BaseModel):
    """All kinds of channels."""

    items: list[ChannelTypeView]
