"""The service knows which tokens it has seen, and which it accepts no more."""

from shared.migrations import create_tokens

revision = "feeds_0012"
down_revision = "feeds_0011"


def upgrade() -> None:
    """Create the table."""
    create_tokens("feeds")
