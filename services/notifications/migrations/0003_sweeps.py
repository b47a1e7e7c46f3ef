"""Each sweep of the consumer process has a row: when it is due, and who runs it."""

from shared.migrations import create_sweep

revision = "notifications_0003"
down_revision = "notifications_0002"


def upgrade() -> None:
    """Create the table."""
    create_sweep("notifications")
