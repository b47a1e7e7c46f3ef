"""Each place in the chain of a tenant's audit has one record."""

from shared.migrations import build_index

revision = "scheduler_0008"
down_revision = "scheduler_0007"


def upgrade() -> None:
    """Build the index."""
    build_index("scheduler", "audit_places", "scheduler.audit (tenant, position)", unique=True)
