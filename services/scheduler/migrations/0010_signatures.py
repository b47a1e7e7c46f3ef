"""Consumers want signed records, and count those that they pass over."""

from shared.migrations import require_signatures

revision = "scheduler_0010"
down_revision = "scheduler_0009"


def upgrade() -> None:
    """Extend the table of offsets."""
    require_signatures("scheduler")
