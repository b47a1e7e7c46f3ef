"""Full statements retract what they do not list, and runs are compared with what they published."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0015"
down_revision = "observables_0014"

REASONS = {"index": "Chunks stay for 30 days: the table is small, and no row matches yet."}

SCHEMA = "observables"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add columns to the chunks of runs; create statements, expectations and set-aside rows."""
    _run_chunk()
    op.create_table(
        "full_statement",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("source_id", pg.UUID, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("run_id", pg.UUID, nullable=False),
        sa.Column("observed_at", _TIME, nullable=False),
        sa.Column("applied_at", _TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.create_table(
        "run_expectation",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("run_id", pg.UUID, primary_key=True),
        sa.Column("source_id", pg.UUID, nullable=False),
        # The number of chunks that the run published, by bucket.
        sa.Column("chunks", pg.JSONB, nullable=False),
        sa.Column("is_full", sa.Boolean, nullable=False),
        sa.Column("news", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reminders", sa.Integer, nullable=False, server_default="0"),
        sa.Column("check_at", _TIME),
        sa.Column("received_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("applied_at", _TIME),
        sa.CheckConstraint("state IN ('waiting', 'incomplete', 'applied')", name="state"),
        schema=SCHEMA,
    )
    op.create_index(
        "run_expectation_check",
        "run_expectation",
        ["check_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("check_at IS NOT NULL"),
    )
    op.create_table(
        "failed_row",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("observable_id", pg.UUID, primary_key=True),
        sa.Column("work", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="1"),
        sa.Column("failed_at", _TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    for table in ("full_statement", "run_expectation", "failed_row"):
        protect(table, SCHEMA)


def _run_chunk() -> None:
    columns = (
        # On the chunk that ends a full statement of its bucket: the number of the bucket's chunks.
        sa.Column("statement_chunks", sa.Integer),
        # Of such a chunk: the assertions that it retracted; NULL while chunks are missing.
        sa.Column("corrected", sa.Integer),
        # The assertions that the chunk changed, beside those that it retracted.
        sa.Column("altered", sa.Integer, nullable=False, server_default="0"),
    )
    for column in columns:
        op.add_column("run_chunk", column, schema=SCHEMA)
    op.create_index(
        "run_chunk_statement",
        "run_chunk",
        ["tenant", "run_id", "bucket"],
        schema=SCHEMA,
        postgresql_where=sa.text("statement_chunks IS NOT NULL AND corrected IS NULL"),
    )
