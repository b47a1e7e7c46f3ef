"""Consumers want signed records, and count those that they pass over."""

from shared.migrations import require_signatures

revision = "notifications_0011"
down_revision = "notifications_0010"


def upgrade() -> None:
    """Extend the table of offsets."""
    require_signatures("notifications")
