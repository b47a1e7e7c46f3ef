"""What the feeds API takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/()+-]*$")]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
Reliability = Literal["A", "B", "C", "D", "E", "F"]
Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]

RELIABILITY: dict[Reliability, int] = {"A": 100, "B": 80, "C": 60, "D": 40, "E": 20, "F": 50}
"""The Admiralty code's grades (NATO AJP-2.1) as percentages; F, "cannot be judged", sits in the middle."""


class FeedSettings(BaseModel):
    """How a feed is read and how far it is believed; all of it may be changed."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://")] | None = Field(
        None, description="where it is fetched; none for a feed that is only ever uploaded"
    )
    format: str | None = Field(None, description="text, csv, stix or misp; guessed from the content when not given")
    options: dict[str, Any] = Field(default_factory=dict, description="what the format wants to know: docs/feeds.md")
    confidence: int = Field(50, ge=0, le=100, description="of indicators that name none")
    reliability: Reliability = Field("B", description="Admiralty code: A reliable to E unreliable, F cannot be judged")
    tlp: Tlp = "clear"
    tags: Annotated[list[Tag], Field(max_length=50)] = []
    every_seconds: int | None = Field(None, ge=60, le=31 * 86400, description="how often it is fetched")
    enabled: bool = True


class FeedCreate(FeedSettings):
    """A new feed: in full, or by the name of an entry in the catalogue."""

    name: Name


class FeedUpdate(FeedSettings):
    """What shall be different; fields that are left out stay as they are."""


class Feed(FeedSettings):
    """A feed as it stands."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    tenant: str
    name: str
    next_run_at: datetime | None
    created_at: datetime
    created_by: str


class Run(BaseModel):
    """One run of a feed: fetched, parsed, sent on."""

    id: UUID
    feed_id: UUID
    feed: str
    tenant: str
    state: Literal["queued", "running", "succeeded", "unchanged", "failed"]
    attempts: int
    report: dict[str, Any] | None = Field(description="taken, dropped by reason, types, bytes, seconds, first dropped")
    error: dict[str, Any] | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    requested_by: str


class FeedPage(BaseModel):
    """A page of feeds."""

    items: list[Feed]
    next: str | None


class RunPage(BaseModel):
    """A page of runs, newest first."""

    items: list[Run]
    next: str | None
