"""The audit names the fields that changed, and its records follow each other by digests."""

from shared.migrations import chain_audit

revision = "notifications_0008"
down_revision = "notifications_0007"


def upgrade() -> None:
    """Add the columns, the digest and the trigger."""
    chain_audit("notifications")
