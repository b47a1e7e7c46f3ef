"""Runs name the holder of their lease; one index serves those that are due."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "feeds_0003"
down_revision = "feeds_0002"

SCHEMA = "feeds"


def upgrade() -> None:
    """Add the holder; runs of workers of the version before are claimed when their lease ends."""
    op.add_column("run", sa.Column("holder", pg.UUID), schema=SCHEMA)
    op.drop_index("run_open", "run", schema=SCHEMA)
    op.create_index(
        "run_due",
        "run",
        [sa.text("coalesce(lease_until, next_attempt_at)")],
        schema=SCHEMA,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
