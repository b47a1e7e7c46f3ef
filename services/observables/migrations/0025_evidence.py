"""What is measured of sources: which of them copy others."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0025"
down_revision = "observables_0024"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the column of measurements, empty at first, and the table of pairs."""
    for table in ("source", "source_past"):
        column = sa.Column("measurements", sa.Text, nullable=False, server_default="")
        op.add_column(table, column, schema=SCHEMA)
    op.create_table(
        "source_pair",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("copier_id", pg.UUID, primary_key=True),
        sa.Column("original_id", pg.UUID, primary_key=True),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("shared", sa.BigInteger, nullable=False),
        sa.Column("containment", sa.Float, nullable=False),
        sa.Column("expected", sa.Float, nullable=False),
        sa.Column("mistakes", sa.BigInteger, nullable=False),
        sa.Column("earlier", sa.BigInteger, nullable=False),
        sa.Column("later", sa.BigInteger, nullable=False),
        sa.Column(
            "measured_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        schema=SCHEMA,
    )
    protect("source_pair", SCHEMA)
