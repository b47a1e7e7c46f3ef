"""Routes of channels."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from services.notifications.channels import service
from services.notifications.channels.catalog import describe_channel_types
from services.notifications.channels.schemas import (
    ChannelCreate,
    ChannelCreated,
    ChannelPatch,
    ChannelTypeList,
    ChannelView,
    SampleOutcome,
)
from shared.auth import Principal
from shared.database import Database
from shared.pagination import Page, PageSchema
from shared.settings import Settings
from shared.web.app import database_of, require_permission


def _settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
OwnDatabase = Annotated[Database, Depends(database_of)]
OwnSettings = Annotated[Settings, Depends(_settings_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]

router = APIRouter(prefix="/v1/channels", tags=["channels"])


@router.get("", response_model=PageSchema[ChannelView])
def list_channels(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[ChannelView]:
    """Channels by name."""
    return service.list_channels(database, principal, after, limit)


@router.get("/types")
def list_channel_types(_principal: Reader) -> ChannelTypeList:
    """The kinds of channels, each with the JSON schemas of its configuration and credentials."""
    return ChannelTypeList(items=describe_channel_types())


@router.post("", status_code=201)
def create_channel(
    principal: Writer, database: OwnDatabase, settings: OwnSettings, body: ChannelCreate
) -> ChannelCreated:
    """Create a channel. No other answer shows its signing secret."""
    return service.create_channel(database, settings, principal, body)


@router.get("/{channel_id}")
def get_channel(principal: Reader, database: OwnDatabase, channel_id: UUID) -> ChannelView:
    """One channel."""
    return service.get_channel(database, principal, channel_id)


@router.patch("/{channel_id}")
def change_channel(
    principal: Writer,
    database: OwnDatabase,
    settings: OwnSettings,
    channel_id: UUID,
    body: ChannelPatch,
) -> ChannelView:
    """Change a channel."""
    return service.change_channel(database, settings, principal, channel_id, body)


@router.delete("/{channel_id}", status_code=204)
def delete_channel(principal: Writer, database: OwnDatabase, channel_id: UUID) -> None:
    """Delete a channel that no rule uses."""
    service.delete_channel(database, principal, channel_id)


@router.post("/{channel_id}/test")
def test_channel(
    principal: Writer, database: OwnDatabase, settings: OwnSettings, channel_id: UUID
) -> SampleOutcome:
    """Send a sample through a channel now and return the result."""
    return service.test_channel(database, settings, principal, channel_id)
