"""Quiet hours: when a channel's receiver wants no notifications but the most severe."""
