"""Entries of the catalog, as their files and the API have them."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.feeds.collectors.credentials import Auth
from services.feeds.subscriptions.vocabulary import (
    FeedKind,
    FeedName,
    FormatOptions,
    Origin,
    Reliability,
    Tag,
    Tlp,
    Url,
)
from shared.stix import ObservableType

Text = Annotated[str, Field(min_length=1, max_length=2000)]
_UNIT_SECONDS: Final = {"m": 60, "h": 3600, "d": 86400}


def origin_named(provider: str) -> str:
    """A provider's name as an origin: in lower case, with dashes for blanks."""
    return re.sub(r"[^a-z0-9._]+", "-", provider.lower()).strip("-.")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Strict):
    """The terms of the provider.

    Attributes:
        name: of the licence, or "not stated by the provider".
        terms: in one or two sentences for users.
        commercial_use: yes, no, or ask the provider.
    """

    name: Text
    terms: Text
    url: Url | None = None
    commercial_use: Literal["yes", "no", "ask"] = "ask"


class RequiredCredentials(_Strict):
    """Credentials that the provider requires.

    Attributes:
        kind: of credentials, see `collectors.credentials`.
        fields: of that kind that are always the same, such as a header's name.
        how: where to get the rest.
        required: whether it refuses to answer without.
    """

    kind: Literal["basic", "bearer", "header", "query", "certificate"]
    fields: dict[str, str] = {}
    how: Text
    required: bool = True


class CatalogEntry(_Strict):
    """One public feed.

    Attributes:
        slug: its file's name, and what it is subscribed to by.
        types: observable types that it gives.
        every: how often it is worth fetching: 30m, 1h, 1d.
        min_interval: least seconds between two visits to the provider.
        origin: whose observations it publishes; its provider's name in lower case when not given.
        derived_from: origins that it is made of, or copies.
        known_trouble: warnings for users.
        retired: why it is of no use any more; the entry stays as a warning.
    """

    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,60}$")]
    title: Text
    provider: Text
    home: Url
    url: Url
    format: str
    options: FormatOptions = {}
    collector: str = "http"
    collector_options: dict[str, Any] = {}
    kind: FeedKind = "snapshot"
    types: Annotated[list[ObservableType], Field(min_length=1)]
    every: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}[mhd]$")]
    min_interval: Annotated[int, Field(ge=1, le=86400)] = 60
    licence: Licence
    tlp: Tlp = "clear"
    origin: Origin | None = None
    derived_from: list[Origin] = []
    reliability: Reliability
    confidence: Annotated[int, Field(ge=0, le=100)] = 50
    tags: list[Tag] = []
    auth: RequiredCredentials | None = None
    known_trouble: list[Text] = []
    retired: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_origin(cls, values: Any) -> Any:
        """An entry's origin is its provider unless it says otherwise."""
        if isinstance(values, dict) and not values.get("origin"):
            provider = str(values.get("provider", ""))
            return {**values, "origin": origin_named(provider)}
        return values

    @property
    def every_seconds(self) -> int:
        """The cadence in seconds."""
        return int(self.every[:-1]) * _UNIT_SECONDS[self.every[-1]]


class CatalogPage(BaseModel):
    """All entries."""

    items: list[CatalogEntry]


class CatalogSubscription(BaseModel):
    """Settings that differ from the catalog's entry."""

    model_config = ConfigDict(extra="forbid")

    name: FeedName | None = Field(None, description="the entry's own when not given")
    auth: Auth | None = Field(None, description="credentials, if the provider requires any")
    every_seconds: int | None = Field(None, ge=60, le=31 * 86400)
    tags: Annotated[list[Tag], Field(max_length=50)] = []
