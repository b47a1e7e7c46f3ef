"""How much the installation stores, measured every hour."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import protect

revision = "scheduler_0006"
down_revision = "scheduler_0005"

SCHEMA = "scheduler"


def upgrade() -> None:
    """Create the table; its rows belong to the platform."""
    op.create_table(
        "growth_sample",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("part", sa.Text, primary_key=True),
        sa.Column("sampled_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("free_bytes", sa.BigInteger),
        schema=SCHEMA,
    )
    protect("growth_sample", SCHEMA)
