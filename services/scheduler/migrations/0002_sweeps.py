"""Each sweep of the consumer process has a row: when it is due, and who runs it."""

from shared.migrations import create_sweep

revision = "scheduler_0002"
down_revision = "scheduler_0001"


def upgrade() -> None:
    """Create the table."""
    create_sweep("scheduler")
