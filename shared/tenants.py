"""The tenants with a meaning of their own."""

from typing import Final

PUBLIC: Final = "public"
"""The tenant that all read and only operators write."""

PLATFORM: Final = "*"
"""No tenant: the scope of the platform's own work (relays, reconcilers), which crosses tenants."""
