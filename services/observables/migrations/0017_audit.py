"""The audit: who changed what, in rows of the same transaction that nobody changes."""

from shared.migrations import create_audit

revision = "observables_0017"
down_revision = "observables_0016"


def upgrade() -> None:
    """Create the table, which the service's role may only append to."""
    create_audit("observables")
