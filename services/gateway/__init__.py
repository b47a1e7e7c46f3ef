"""The gateway: the one address of the installation, and the owner of identity."""

from typing import Final

NAME: Final = "gateway"
"""The service's name: its schema, its queue, and the prefix of its tasks."""
