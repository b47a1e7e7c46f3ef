"""The outbox keeps what was published for a while, and parks what cannot be published."""

from shared.migrations import extend_outbox

revision = "scheduler_0004"
down_revision = "scheduler_0003"


def upgrade() -> None:
    """Add the columns and their indexes."""
    extend_outbox("scheduler")
