"""How much of the service a tenant may use."""

from shared.migrations import create_quotas

revision = "feeds_0017"
down_revision = "feeds_0016"


def upgrade() -> None:
    """Create the tables; the version before does without them."""
    create_quotas("feeds")
