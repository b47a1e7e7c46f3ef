"""Feeds and their runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import create_infrastructure, protect

revision = "feeds_0001"
down_revision = None

SCHEMA = "feeds"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the first version of the schema."""
    create_infrastructure(SCHEMA)
    op.create_table(
        "feed",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("format", sa.Text),
        sa.Column("options", pg.JSONB, nullable=False, server_default="{}"),
        sa.Column("confidence", sa.SmallInteger, nullable=False),
        sa.Column("reliability", sa.Text, nullable=False),
        sa.Column("tlp", sa.Text, nullable=False),
        sa.Column("tags", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("every_seconds", sa.Integer),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("next_run_at", _TIME),
        sa.Column("etag", sa.Text),
        sa.Column("last_modified", sa.Text),
        sa.Column("content_digest", sa.Text),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant", "name", name="feed_name"),
        schema=SCHEMA,
    )
    op.create_index(
        "feed_due",
        "feed",
        ["next_run_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("enabled AND url IS NOT NULL"),
    )
    op.create_table(
        "run",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column(
            "feed_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.feed.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("payload", sa.Text),
        sa.Column("observed_at", _TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("lease_until", _TIME),
        sa.Column("report", pg.JSONB),
        sa.Column("error", pg.JSONB),
        sa.Column("queued_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'unchanged', 'failed')", name="run_state"
        ),
        schema=SCHEMA,
    )
    op.create_index("run_of_feed", "run", ["feed_id", "queued_at"], schema=SCHEMA)
    op.create_index(
        "run_open",
        "run",
        ["next_attempt_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    protect("feed", SCHEMA)
    protect("run", SCHEMA)
