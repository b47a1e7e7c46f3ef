"""Consumers as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.pagination import PageSchema

ConsumerName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
ListIds = Annotated[list[UUID], Field(min_length=1, max_length=200)]
NetworkText = Annotated[str, Field(min_length=1, max_length=50)]
Networks = Annotated[list[NetworkText], Field(max_length=50)]
Seconds = Annotated[int, Field(ge=60, le=31_536_000)]


class ConsumerCreate(BaseModel):
    """A new consumer: a device or tool that polls lists."""

    model_config = ConfigDict(extra="forbid")

    name: ConsumerName
    list_ids: ListIds = Field(description="The lists that it may poll.")
    networks: Networks = Field(
        default=[], description="Networks from which it may poll; none for any."
    )
    silent_after_seconds: Seconds = Field(
        86_400, description="After so long without a poll there is an event."
    )


class ConsumerPatch(BaseModel):
    """Changes of a consumer; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    name: ConsumerName | None = None
    list_ids: ListIds | None = None
    networks: Networks | None = None
    silent_after_seconds: Seconds | None = None


class PollView(BaseModel):
    """What a consumer has of a list."""

    list_id: UUID
    list: str
    format: str
    polled_at: datetime
    version: int = Field(description="the version that it fetched last")
    published_version: int = Field(description="the version that it would get now")
    entries: int
    lag_seconds: float = Field(description="since when there is a newer version; 0 if none is")
    address: str
    agent: str


class ConsumerView(BaseModel):
    """A consumer, and what it has."""

    id: UUID
    name: str
    list_ids: list[UUID]
    networks: list[str]
    silent_after_seconds: int
    silent_since: datetime | None
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    polls: list[PollView]


class ConsumerIssued(ConsumerView):
    """A consumer with its token, which is shown this once."""

    token: str
    addresses: list[str] = Field(description="where it polls; the ending names the format")


class ConsumerPage(PageSchema[ConsumerView]):
    """A page of consumers."""


class HolderView(BaseModel):
    """A consumer that has a value."""

    consumer_id: UUID
    consumer: str
    list_id: UUID
    list: str
    format: str
    version: int
    polled_at: datetime


class Holders(BaseModel):
    """The consumers that still have a value, by what they fetched last."""

    value: str
    type: str
    holders: list[HolderView]


class FormatView(BaseModel):
    """A format of files."""

    name: str
    summary: str
    media_type: str
    types: list[str] = Field(description="of observables that it can say; none stands for all")
    options: dict[str, str]
