"""The audit names the fields that changed, and its records follow each other by digests."""

from shared.migrations import chain_audit

revision = "feeds_0010"
down_revision = "feeds_0009"


def upgrade() -> None:
    """Add the columns, the digest and the trigger."""
    chain_audit("feeds")
