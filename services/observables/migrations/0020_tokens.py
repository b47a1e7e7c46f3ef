"""The service knows which tokens it has seen, and which it accepts no more."""

from shared.migrations import create_tokens

revision = "observables_0020"
down_revision = "observables_0019"


def upgrade() -> None:
    """Create the table."""
    create_tokens("observables")
