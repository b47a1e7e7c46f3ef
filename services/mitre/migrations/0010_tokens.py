"""The service knows which tokens it has seen, and which it accepts no more."""

from shared.migrations import create_tokens

revision = "mitre_0010"
down_revision = "mitre_0009"


def upgrade() -> None:
    """Create the table."""
    create_tokens("mitre")
