"""Workers find the tenants whose deliveries are due, however many one of them has."""

from shared.migrations import build_index

revision = "notifications_0012"
down_revision = "notifications_0011"


def upgrade() -> None:
    """Build the index; a worker of the version before does without it."""
    build_index(
        "notifications",
        "delivery_turn",
        "notifications.delivery (tenant, (coalesce(lease_until, next_attempt_at))) "
        "WHERE state IN ('pending', 'delivering')",
    )
