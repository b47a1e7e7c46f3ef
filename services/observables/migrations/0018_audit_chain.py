"""The audit names the fields that changed, and its records follow each other by digests."""

from shared.migrations import chain_audit

revision = "observables_0018"
down_revision = "observables_0017"


def upgrade() -> None:
    """Add the columns, the digest and the trigger."""
    chain_audit("observables")
