"""How much of the service a tenant may use."""

from shared.migrations import create_quotas

revision = "notifications_0013"
down_revision = "notifications_0012"


def upgrade() -> None:
    """Create the tables; the version before does without them."""
    create_quotas("notifications")
