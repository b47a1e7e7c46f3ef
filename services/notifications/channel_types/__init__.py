"""Channels: one file each behind a small protocol; packages add theirs as entry points `sentineliq.channels`."""

from services.notifications.channel_types.base import ChannelKind, Gone, Notification
from services.notifications.channel_types.registry import kind_named, kinds

__all__ = ["ChannelKind", "Gone", "Notification", "kind_named", "kinds"]
