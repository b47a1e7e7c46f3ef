"""Channels have a ceiling of markings: what is marked above it is not told."""

import sqlalchemy as sa
from alembic import op

revision = "notifications_0019"
down_revision = "notifications_0018"


def upgrade() -> None:
    """Add the ceiling; a process of the version before tells everything."""
    op.add_column(
        "channel",
        sa.Column("max_tlp", sa.Text, nullable=False, server_default="amber+strict"),
        schema="notifications",
    )
