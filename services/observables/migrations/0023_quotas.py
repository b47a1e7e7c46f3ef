"""How much of the service a tenant may use."""

from shared.migrations import create_quotas

revision = "observables_0023"
down_revision = "observables_0022"


def upgrade() -> None:
    """Create the tables; the version before does without them."""
    create_quotas("observables")
