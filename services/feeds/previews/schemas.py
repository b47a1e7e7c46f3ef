"""Previews as the API takes them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.feeds.collectors.credentials import Auth
from services.feeds.subscriptions.vocabulary import FormatOptions, Url


class ReparseRequest(BaseModel):
    """Settings to read a feed's last payload with."""

    model_config = ConfigDict(extra="forbid")

    format: str | None = None
    options: FormatOptions = Field(default_factory=dict)
    apply: bool = False


class PreviewRequest(BaseModel):
    """An address to preview."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    format: str | None = Field(None, description="guessed when not given")
    options: FormatOptions = Field(default_factory=dict)
    collector: str = "http"
    collector_options: dict[str, Any] = Field(default_factory=dict)
    auth: Auth | None = None
