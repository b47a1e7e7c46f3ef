"""The audit: who changed what, in rows of the same transaction that nobody changes."""

from shared.migrations import create_audit

revision = "mitre_0007"
down_revision = "mitre_0006"


def upgrade() -> None:
    """Create the table, which the service's role may only append to."""
    create_audit("mitre")
