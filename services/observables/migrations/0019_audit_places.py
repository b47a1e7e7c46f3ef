"""Each place in the chain of a tenant's audit has one record."""

from shared.migrations import build_index

revision = "observables_0019"
down_revision = "observables_0018"


def upgrade() -> None:
    """Build the index."""
    build_index("observables", "audit_places", "observables.audit (tenant, position)", unique=True)
