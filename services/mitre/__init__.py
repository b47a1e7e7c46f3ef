"""The mitre service: ATT&CK releases, what they change, and their techniques."""

from typing import Final

NAME: Final = "mitre"
"""The service's name: its schema, its queue, and the prefix of its tasks."""
