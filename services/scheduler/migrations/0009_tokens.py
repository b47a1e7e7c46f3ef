"""The service knows which tokens it has seen, and which it accepts no more."""

from shared.migrations import create_tokens

revision = "scheduler_0009"
down_revision = "scheduler_0008"


def upgrade() -> None:
    """Create the table."""
    create_tokens("scheduler")
