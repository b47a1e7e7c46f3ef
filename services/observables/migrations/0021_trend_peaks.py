"""Trends: the highest ten minutes of each hour, by which a subject's next hours are judged."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import protect

revision = "observables_0021"
down_revision = "observables_0020"

SCHEMA = "observables"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "trend_peak",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("peak", sa.Integer, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("trend_peak_hour", "trend_peak", ["hour"], schema=SCHEMA)
    protect("trend_peak", SCHEMA)
