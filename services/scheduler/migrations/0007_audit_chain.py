"""The audit names the fields that changed, and its records follow each other by digests."""

from shared.migrations import chain_audit

revision = "scheduler_0007"
down_revision = "scheduler_0006"


def upgrade() -> None:
    """Add the columns, the digest and the trigger."""
    chain_audit("scheduler")
