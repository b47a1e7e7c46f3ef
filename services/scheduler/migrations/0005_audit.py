"""The audit: who changed what, in rows of the same transaction that nobody changes."""

from shared.migrations import create_audit

revision = "scheduler_0005"
down_revision = "scheduler_0004"


def upgrade() -> None:
    """Create the table, which the service's role may only append to."""
    create_audit("scheduler")
