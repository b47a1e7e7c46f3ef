"""Offsets know the record they stand for, consumers stay halted, and gaps in the log are rows."""

from shared.migrations import extend_offsets

revision = "feeds_0005"
down_revision = "feeds_0004"


def upgrade() -> None:
    """Add the columns and the table; the version before writes rows without the new columns."""
    extend_offsets("feeds")
