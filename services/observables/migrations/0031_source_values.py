"""Bitmaps of what sources assert, the numbers in them, and what sources cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0031"
down_revision = "observables_0030"

SCHEMA = "observables"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables. A sweep fills them from what is stored."""
    op.create_table(
        "observable_number",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("number", sa.Integer, sa.Identity(), nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "source_bitmap",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("source_id", pg.UUID, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True),
        # Numbers of observables as a Roaring bitmap; since when each, compressed.
        sa.Column("members", sa.LargeBinary, nullable=False),
        sa.Column("times", sa.LargeBinary, nullable=False),
        sa.Column("harmless", sa.LargeBinary, nullable=False),
        sa.Column("handled_at", MOMENT, nullable=False),
        sa.Column("is_settled", sa.Boolean, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("source_bitmap_handled", "source_bitmap", ["handled_at"], schema=SCHEMA)
    op.create_table(
        "source_cost",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("source_id", pg.UUID, primary_key=True),
        sa.Column("yearly_cost", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("changed_by", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    for table in ("observable_number", "source_bitmap", "source_cost"):
        protect(table, SCHEMA)
