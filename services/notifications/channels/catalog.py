"""The kinds of channels as a form needs them."""

from inspect import getdoc
from typing import Any

from services.notifications.channel_types import ChannelType, channel_types
from services.notifications.channel_types.base import (
    CredentialedChannel,
    FindingChannel,
    MessageLimits,
    RecognisingChannel,
    RenderingChannel,
    ThreadingChannel,
)
from services.notifications.channels.schemas import ChannelTypeView


def describe_channel_types() -> list[ChannelTypeView]:
    """All kinds of channels by name."""
    return [_describe(kind) for _, kind in sorted(channel_types().items())]


def _describe(kind: ChannelType[Any]) -> ChannelTypeView:
    credentials = None
    if isinstance(kind, CredentialedChannel):
        credentials = kind.credentials.model_json_schema()
    limits = kind.limits if isinstance(kind, RenderingChannel) else MessageLimits()
    lines = (getdoc(type(kind)) or kind.name).splitlines()
    return ChannelTypeView(
        name=kind.name,
        summary=lines[0],
        config=kind.config.model_json_schema(),
        credentials=credentials,
        signs=kind.signs,
        can_render=isinstance(kind, RenderingChannel),
        can_thread=isinstance(kind, ThreadingChannel),
        can_find=isinstance(kind, FindingChannel),
        recognises_repeats=isinstance(kind, RecognisingChannel) and kind.recognises_repeats,
        limits={
            "bytes": limits.bytes,
            "characters": limits.characters,
            "matches": limits.matches,
            "per_minute": limits.per_minute,
        },
    )
