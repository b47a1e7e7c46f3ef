"""Notifications: rules match changed observables, deliveries tell it through channels."""

from typing import Final

NAME: Final = "notifications"
"""The service's name: its schema, its Celery queue, its place in addresses."""
