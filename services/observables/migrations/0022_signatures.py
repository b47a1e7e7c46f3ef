"""Consumers want signed records, and count those that they pass over."""

from shared.migrations import require_signatures

revision = "observables_0022"
down_revision = "observables_0021"


def upgrade() -> None:
    """Extend the table of offsets."""
    require_signatures("observables")
