"""Kinds of channels: a module each behind the protocol in `base`; `registry` knows their names."""

from services.notifications.channel_types.base import ChannelGone, ChannelKind, Notification
from services.notifications.channel_types.registry import kind_named, kinds

__all__ = ["ChannelGone", "ChannelKind", "Notification", "kind_named", "kinds"]
