"""Offsets know the record they stand for, consumers stay halted, and gaps in the log are rows."""

from shared.migrations import extend_offsets

revision = "scheduler_0003"
down_revision = "scheduler_0002"


def upgrade() -> None:
    """Add the columns and the table; the version before writes rows without the new columns."""
    extend_offsets("scheduler")
