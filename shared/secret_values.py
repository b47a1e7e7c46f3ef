"""Secrets in memory."""

from typing import Protocol


class Secret(Protocol):
    """A secret that does not show itself, such as pydantic's `SecretStr`."""

    def get_secret_value(self) -> str:
        """The secret as it is."""
