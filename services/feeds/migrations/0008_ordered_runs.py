"""Runs of a feed are ordered, know what they began with, and end when they are applied."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "feeds_0008"
down_revision = "feeds_0007"

SCHEMA = "feeds"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what orders the runs of a feed; of several that run at once the oldest goes on.

    The others are queued again.
    """
    for column in (
        sa.Column("observed_at", _TIME),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("needs_full_statement", sa.Text),
        sa.Column("data_folder", sa.Text),
        sa.Column("check_at", _TIME),
    ):
        op.add_column("feed", column, schema=SCHEMA)
    for column in (
        sa.Column("full_reason", sa.Text),
        sa.Column("base_revision", sa.BigInteger),
        sa.Column("progress", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.Text),
        sa.Column("applied", pg.JSONB),
        sa.Column("applied_at", _TIME),
    ):
        op.add_column("run", column, schema=SCHEMA)
    op.execute(
        f"UPDATE {SCHEMA}.feed SET observed_at = "  # constants alone
        f"(SELECT max(observed_at) FROM {SCHEMA}.run WHERE feed_id = feed.id)"
    )
    op.execute(
        f"UPDATE {SCHEMA}.run SET state = 'queued', holder = NULL, lease_until = NULL "
        f"WHERE state = 'running' AND EXISTS (SELECT FROM {SCHEMA}.run AS other "
        "WHERE other.feed_id = run.feed_id AND other.state = 'running' "
        "AND (other.queued_at, other.id) < (run.queued_at, run.id))"
    )
    op.drop_constraint("run_state", "run", schema=SCHEMA)
    op.create_check_constraint(
        "run_state",
        "run",
        "state IN ('queued', 'running', 'applying', 'succeeded', 'unconfirmed', 'unchanged', "
        "'held', 'failed')",
        schema=SCHEMA,
    )
