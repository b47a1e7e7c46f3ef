"""Each sweep of the consumer process has a row: when it is due, and who runs it."""

from shared.migrations import create_sweep

revision = "observables_0013"
down_revision = "observables_0012"


def upgrade() -> None:
    """Create the table."""
    create_sweep("observables")
