"""The outbox keeps what was published for a while, and parks what cannot be published."""

from shared.migrations import extend_outbox

revision = "notifications_0005"
down_revision = "notifications_0004"


def upgrade() -> None:
    """Add the columns and their indexes."""
    extend_outbox("notifications")
