"""The names of tenants, and the tenants with a meaning of their own."""

from typing import Final

PUBLIC: Final = "public"
"""The tenant that all read and only operators write."""

PLATFORM: Final = "*"
"""No tenant: the scope of the platform's own work (relays, sweeps), which crosses tenants."""


MAX_NAME_LENGTH: Final = 63


def is_tenant(name: str) -> bool:
    """Whether a text can name a tenant; `PLATFORM` cannot."""
    allowed = (
        name.replace("-", "").isalnum()
        and name.isascii()
        and name == name.lower()
        and not name.startswith("-")
    )
    return name != PLATFORM and 0 < len(name) <= MAX_NAME_LENGTH and allowed
