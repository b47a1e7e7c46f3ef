"""Kinds of channels: a module each behind the protocol in `base`; `registry` knows their names."""

from services.notifications.channel_types.base import ChannelGone, ChannelType, Notification
from services.notifications.channel_types.registry import channel_type_named, channel_types

__all__ = [
    "ChannelGone",
    "ChannelType",
    "Notification",
    "channel_type_named",
    "channel_types",
]
