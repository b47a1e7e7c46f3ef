"""The firings whose tasks have yet to run are found by an index."""

from shared.migrations import build_index

revision = "scheduler_0013"
down_revision = "scheduler_0012"


def upgrade() -> None:
    """Build the index, which holds the firings of the last minutes."""
    definition = "scheduler.fire (confirm_by) WHERE confirm_by IS NOT NULL"
    build_index("scheduler", "fire_unconfirmed", definition)
