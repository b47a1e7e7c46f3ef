"""Consumers want signed records, and count those that they pass over."""

from shared.migrations import require_signatures

revision = "mitre_0011"
down_revision = "mitre_0010"


def upgrade() -> None:
    """Extend the table of offsets."""
    require_signatures("mitre")
