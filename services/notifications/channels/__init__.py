"""Channels: one file each behind a small protocol; packages add theirs as entry points `sentineliq.channels`."""

from services.notifications.channels.base import ChannelKind, Gone, Notification
from services.notifications.channels.registry import kind_named, kinds

__all__ = ["ChannelKind", "Gone", "Notification", "kind_named", "kinds"]
