"""What the feeds API takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.feeds.collectors.credentials import Auth

Name = Annotated[
    str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/()+-]*$")
]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
Reliability = Literal["A", "B", "C", "D", "E", "F"]
Kind = Literal["snapshot", "stream"]
Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]

RELIABILITY: dict[Reliability, int] = {"A": 100, "B": 80, "C": 60, "D": 40, "E": 20, "F": 50}
"""The Admiralty code's grades (NATO AJP-2.1) as percentages; F, "cannot be judged", sits in the middle."""


class FeedSettings(BaseModel):
    """How a feed is read and how far it is believed; all of it may be changed."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://")] | None = Field(
        None, description="where it is fetched; none for a feed that is only ever uploaded"
    )
    format: str | None = Field(
        None, description="a format of docs/feeds.md; guessed from the content when not given"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="what the format wants to know: docs/feeds.md"
    )
    confidence: int = Field(50, ge=0, le=100, description="of indicators that name none")
    reliability: Reliability = Field(
        "B", description="Admiralty code: A reliable to E unreliable, F cannot be judged"
    )
    tlp: Tlp = "clear"
    tags: Annotated[list[Tag], Field(max_length=50)] = []
    every_seconds: int | None = Field(
        None, ge=60, le=31 * 86400, description="how often it is fetched"
    )
    enabled: bool = True
    collector: str = Field(
        "http", description="http (one document), taxii (a collection) or misp (a MISP feed)"
    )
    collector_options: dict[str, Any] = Field(default_factory=dict, description="docs/feeds.md")
    kind: Kind = Field(
        "snapshot", description="snapshot: a whole list each time; stream: only what is recent"
    )
    min_interval: int = Field(
        1, ge=1, le=86400, description="least seconds between two visits to the provider"
    )
    retention_days: int = Field(7, ge=1, le=3650, description="how long payloads are kept")


class FeedCreate(FeedSettings):
    """A new feed."""

    name: Name
    auth: Auth | None = Field(None, description="what it is authorised by; never read again")


class FeedUpdate(FeedSettings):
    """What shall be different; fields that are left out stay as they are."""

    auth: Auth | None = Field(None, description="null takes it away")


class Subscribe(BaseModel):
    """What shall differ from the catalogue's entry."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(None, description="the entry's own when not given")
    auth: Auth | None = Field(None, description="what the provider wants, if anything")
    every_seconds: int | None = Field(None, ge=60, le=31 * 86400)
    tags: Annotated[list[Tag], Field(max_length=50)] = []


class Reparse(BaseModel):
    """How a payload is to be read instead."""

    model_config = ConfigDict(extra="forbid")

    format: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    apply: bool = False


class Preview(BaseModel):
    """What is to be looked at."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://")]
    format: str | None = Field(None, description="guessed when not given")
    options: dict[str, Any] = Field(default_factory=dict)
    collector: str = "http"
    collector_options: dict[str, Any] = Field(default_factory=dict)
    auth: Auth | None = None


class Feed(FeedSettings):
    """A feed as it stands."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    tenant: str
    name: str
    next_run_at: datetime | None
    created_at: datetime
    created_by: str
    auth: dict[str, Any] | None = Field(description="its kind and what of it is no secret")
    catalogue: str | None = Field(description="entry of the catalogue it was made from")
    listed: int = Field(description="observables in its last version")
    held: dict[str, Any] | None = Field(
        description="why its last fetch was held back, and how often"
    )
    health: str
    health_since: datetime
    health_evidence: dict[str, Any]


class Run(BaseModel):
    """One run of a feed: fetched, parsed, sent on."""

    id: UUID
    feed_id: UUID
    feed: str
    tenant: str
    state: Literal["queued", "running", "succeeded", "unchanged", "held", "failed"]
    input: Literal["fetch", "upload", "stored"]
    payload: str | None = Field(description="SHA-256 of the content that was read last")
    attempts: int
    report: dict[str, Any] | None = Field(
        description="taken, seen, gone, dropped by reason and the first of them, types, bytes, seconds of each stage"
    )
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
