"""The outbox keeps what was published for a while, and parks what cannot be published."""

from shared.migrations import extend_outbox

revision = "observables_0016"
down_revision = "observables_0015"


def upgrade() -> None:
    """Add the columns and their indexes."""
    extend_outbox("observables")
