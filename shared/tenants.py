"""Tenants that the platform itself knows."""

from typing import Final

PUBLIC: Final = "public"
"""The tenant that everyone reads and only operators write."""

PLATFORM: Final = "*"
"""Not a tenant: work that is the platform's own (relays, reconcilers) and crosses tenants knowingly."""
