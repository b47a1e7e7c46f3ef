"""How much of the service a tenant may use."""

from shared.migrations import create_quotas

revision = "scheduler_0011"
down_revision = "scheduler_0010"


def upgrade() -> None:
    """Create the tables; the version before does without them."""
    create_quotas("scheduler")
