"""Feeds: collects what sources publish and sends it on as normalised observables."""

from typing import Final

NAME: Final = "feeds"
"""The service's name: its schema, its queue, and the prefix of its tasks."""
