"""Versions, collectors, credentials, health, providers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "feeds_0002"
down_revision = "feeds_0001"

SCHEMA = "feeds"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """What a feed remembers of its last version, how it is fetched, and how it is doing."""
    for column in (
        sa.Column("collector", sa.Text, nullable=False, server_default="http"),
        sa.Column("collector_options", pg.JSONB, nullable=False, server_default="{}"),
        sa.Column("kind", sa.Text, nullable=False, server_default="snapshot"),
        sa.Column("auth", pg.JSONB),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("catalogue", sa.Text),
        sa.Column("min_interval", sa.Integer, nullable=False, server_default="1"),
        sa.Column("retention_days", sa.Integer, nullable=False, server_default="7"),
        sa.Column("cursor", pg.JSONB, nullable=False, server_default="{}"),
        sa.Column("version", sa.Text),
        sa.Column("listed", sa.Integer, nullable=False, server_default="0"),
        sa.Column("payload", sa.Text),
        sa.Column("held", pg.JSONB),
        sa.Column("health", sa.Text, nullable=False, server_default="healthy"),
        sa.Column("health_since", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("health_evidence", pg.JSONB, nullable=False, server_default="{}"),
    ):
        op.add_column("feed", column, schema=SCHEMA)
    op.drop_column("feed", "etag", schema=SCHEMA)
    op.drop_column("feed", "last_modified", schema=SCHEMA)
    op.create_check_constraint("feed_kind", "feed", "kind IN ('snapshot', 'stream')", schema=SCHEMA)
    for column in (
        sa.Column("input", sa.Text, nullable=False, server_default="fetch"),
        sa.Column("part", pg.JSONB),
        sa.Column("confirmed", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("run", column, schema=SCHEMA)
    op.drop_constraint("run_state", "run", schema=SCHEMA)
    op.create_check_constraint(
        "run_state",
        "run",
        "state IN ('queued', 'running', 'succeeded', 'unchanged', 'held', 'failed')",
        schema=SCHEMA,
    )
    op.create_check_constraint(
        "run_input", "run", "input IN ('fetch', 'upload', 'stored')", schema=SCHEMA
    )
    # Politeness is owed by the whole installation: these rows are the platform's, tenant "*".
    op.create_table(
        "provider",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("next_visit_at", _TIME, nullable=False),
        schema=SCHEMA,
    )
    protect("provider", SCHEMA)
