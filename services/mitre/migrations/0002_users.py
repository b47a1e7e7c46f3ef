"""Record the form in which a release's cards were published; older ones name no users."""

import sqlalchemy as sa
from alembic import op

revision = "mitre_0002"
down_revision = "mitre_0001"

SCHEMA = "mitre"


def upgrade() -> None:
    """Add the column; cards of present releases have the form before the first."""
    op.add_column(
        "release",
        sa.Column("cards", sa.SmallInteger, nullable=False, server_default="0"),
        schema=SCHEMA,
    )
