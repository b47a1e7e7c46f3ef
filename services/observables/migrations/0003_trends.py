"""Trends: bursts of values and rises of subjects, each announced once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0003"
down_revision = "observables_0002"

SCHEMA = "observables"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the trends' table."""
    op.create_table(
        "trend",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("type", sa.Text),
        sa.Column("value", sa.Text),
        sa.Column("feeds", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("baseline", sa.Double),
        sa.Column("window_start", _TIME, nullable=False),
        sa.Column("window_seconds", sa.Integer, nullable=False),
        sa.Column("announced_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("kind IN ('value', 'malware', 'as')", name="trend_kind"),
        schema=SCHEMA,
    )
    # Lists are read newest first.
    op.create_index("trend_newest", "trend", ["announced_at", "id"], schema=SCHEMA)
    protect("trend", SCHEMA)
