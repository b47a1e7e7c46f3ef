"""Digests as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Cron = Annotated[
    str,
    Field(
        min_length=9,
        max_length=100,
        description="Minute, hour, day, month, weekday: `0 8 * * 1-5`; hourly at most.",
    ),
]
Timezone = Annotated[str, Field(max_length=100, description="IANA name, such as Europe/Berlin.")]


class DigestCreate(BaseModel):
    """A new digest. Rules that name it are told of in it."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    cron: Cron
    timezone: Timezone = "UTC"
    channel_ids: list[UUID] = Field(min_length=1, max_length=20)
    enabled: bool = True


class DigestPatch(BaseModel):
    """Changes of a digest; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    cron: Cron | None = None
    timezone: Timezone | None = None
    channel_ids: list[UUID] | None = Field(None, min_length=1, max_length=20)
    enabled: bool | None = None


class DigestView(BaseModel):
    """A digest."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    cron: str
    timezone: str
    channel_ids: list[UUID]
    enabled: bool
    next_due_at: datetime
    last_due_at: datetime | None
    created_at: datetime
    updated_at: datetime
