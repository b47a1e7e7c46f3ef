"""Marks that are still to be set after what is measured of a source has moved."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0034"
down_revision = "observables_0033"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "source_rescoring",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("source_id", pg.UUID, primary_key=True),
        sa.Column("other_id", pg.UUID, primary_key=True),
        sa.Column("next_range", sa.SmallInteger, nullable=False, server_default="0"),
        schema=SCHEMA,
    )
    protect("source_rescoring", SCHEMA)
