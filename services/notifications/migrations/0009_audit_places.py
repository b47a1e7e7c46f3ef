"""Each place in the chain of a tenant's audit has one record."""

from shared.migrations import build_index

revision = "notifications_0009"
down_revision = "notifications_0008"


def upgrade() -> None:
    """Build the index."""
    build_index(
        "notifications", "audit_places", "notifications.audit (tenant, position)", unique=True
    )
