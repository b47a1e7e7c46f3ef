"""Each sweep of the consumer process has a row: when it is due, and who runs it."""

from shared.migrations import create_sweep

revision = "mitre_0004"
down_revision = "mitre_0003"


def upgrade() -> None:
    """Create the table."""
    create_sweep("mitre")
