"""Channels: the receivers that tenants configure, each of a kind in `channel_types`."""
