"""Each place in the chain of a tenant's audit has one record."""

from shared.migrations import build_index

revision = "mitre_0009"
down_revision = "mitre_0008"


def upgrade() -> None:
    """Build the index."""
    build_index("mitre", "audit_places", "mitre.audit (tenant, position)", unique=True)
