"""What became of the tasks of firings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "scheduler_0014"
down_revision = "scheduler_0013"


def upgrade() -> None:
    """Add the columns. Of the firings before, and of those of the version before, nobody knows."""
    op.add_column("fire", sa.Column("outcome", sa.Text), schema="scheduler")
    op.add_column("fire", sa.Column("reason", sa.Text), schema="scheduler")
    op.add_column("fire", sa.Column("run_id", pg.UUID(as_uuid=True)), schema="scheduler")
