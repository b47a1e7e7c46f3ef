"""Feeds as the API takes and gives them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.feeds.collectors.credentials import Auth
from services.feeds.subscriptions.vocabulary import (
    FeedKind,
    FeedName,
    FormatOptions,
    Origin,
    PluginName,
    Reliability,
    Tag,
    Tlp,
    Url,
)
from shared.bounded_json import BoundedObject
from shared.pagination import PageSchema


class FeedSettings(BaseModel):
    """Settings of a feed: how it is fetched and read, and how far it is believed."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = Field(
        None, description="where it is fetched; none for a feed that is only ever uploaded"
    )
    format: PluginName | None = Field(
        None, description="a format of docs/feeds.md; guessed from the content when not given"
    )
    options: BoundedObject = Field(
        default_factory=dict, description="options of the format: docs/feeds.md"
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
    collector: PluginName = Field(
        "http", description="http (one document), taxii (a collection) or misp (a MISP feed)"
    )
    collector_options: BoundedObject = Field(default_factory=dict, description="docs/feeds.md")
    kind: FeedKind = Field(
        "snapshot", description="snapshot: a whole list each time; stream: only what is recent"
    )
    min_interval: int = Field(
        1, ge=1, le=86400, description="least seconds between two visits to the provider"
    )
    origin: Origin | None = Field(
        None,
        description="whose observations it publishes, mostly its provider (`abuse.ch`): of one "
        "origin the strongest claim counts",
    )
    derived_from: Annotated[list[Origin], Field(max_length=50)] = Field(
        [], description="the origins whose observations it repeats, of a list made of others"
    )
    retention_days: int = Field(7, ge=1, le=3650, description="how long payloads are kept")


class FeedCreate(FeedSettings):
    """A new feed."""

    name: FeedName
    auth: Auth | None = Field(None, description="what it is authorised by; never read again")


class FeedPatch(FeedSettings):
    """Changes of a feed; fields that are left out stay as they are."""

    auth: Auth | None = Field(None, description="null takes it away")


class QuarantineView(BaseModel):
    """Why a document was not published."""

    model_config = ConfigDict(from_attributes=True)

    times: int = Field(description="how often in a row such a document came")
    reason: str
    run: str = Field(description="id of the run that read it")
    listed: int = Field(description="how many observables it lists")
    before: int = Field(description="how many the feed lists")


class FeedView(FeedSettings):
    """A feed as it stands."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    # Feeds of before have no bounds here.
    format: str | None
    options: FormatOptions
    collector: str
    collector_options: dict[str, Any]
    id: UUID
    tenant: str
    name: str
    next_run_at: datetime | None
    created_at: datetime
    created_by: str
    auth: dict[str, Any] | None = Field(description="its kind and what of it is no secret")
    catalog: str | None = Field(
        serialization_alias="catalogue", description="entry of the catalog it was made from"
    )
    listed: int = Field(description="observables in its last version")
    was_read: bool = Field(description="whether a document of it has been read to its end")
    quarantine: QuarantineView | None = Field(
        serialization_alias="held",
        description="why its last fetch was held back, and how often",
    )
    needs_full_statement: str | None = Field(
        description="why the next run says everything again; null when it does not"
    )
    health: str
    health_since: datetime
    health_evidence: dict[str, Any]


class FeedPage(PageSchema[FeedView]):
    """A page of feeds."""
