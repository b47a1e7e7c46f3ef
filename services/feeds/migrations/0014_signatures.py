"""Consumers want signed records, and count those that they pass over."""

from shared.migrations import require_signatures

revision = "feeds_0014"
down_revision = "feeds_0013"


def upgrade() -> None:
    """Extend the table of offsets."""
    require_signatures("feeds")
