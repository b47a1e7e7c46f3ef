"""Previews as the API takes them."""

from pydantic import BaseModel, ConfigDict, Field

from services.feeds.collectors.credentials import Auth
from services.feeds.subscriptions.vocabulary import PluginName, Url
from shared.bounded_json import BoundedObject


class ReparseRequest(BaseModel):
    """Settings to read a feed's last payload with."""

    model_config = ConfigDict(extra="forbid")

    format: PluginName | None = None
    options: BoundedObject = Field(default_factory=dict)
    apply: bool = False


class PreviewRequest(BaseModel):
    """An address to preview."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    format: PluginName | None = Field(None, description="guessed when not given")
    options: BoundedObject = Field(default_factory=dict)
    collector: PluginName = "http"
    collector_options: BoundedObject = Field(default_factory=dict)
    auth: Auth | None = None
