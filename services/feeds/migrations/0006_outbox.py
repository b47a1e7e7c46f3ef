"""The outbox keeps what was published for a while, and parks what cannot be published."""

from shared.migrations import extend_outbox

revision = "feeds_0006"
down_revision = "feeds_0005"


def upgrade() -> None:
    """Add the columns and their indexes."""
    extend_outbox("feeds")
