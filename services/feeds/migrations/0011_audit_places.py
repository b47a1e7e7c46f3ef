"""Each place in the chain of a tenant's audit has one record."""

from shared.migrations import build_index

revision = "feeds_0011"
down_revision = "feeds_0010"


def upgrade() -> None:
    """Build the index."""
    build_index("feeds", "audit_places", "feeds.audit (tenant, position)", unique=True)
