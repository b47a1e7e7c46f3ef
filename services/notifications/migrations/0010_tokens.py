"""The service knows which tokens it has seen, and which it accepts no more."""

from shared.migrations import create_tokens

revision = "notifications_0010"
down_revision = "notifications_0009"


def upgrade() -> None:
    """Create the table."""
    create_tokens("notifications")
