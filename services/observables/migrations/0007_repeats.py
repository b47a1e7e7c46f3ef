"""Note what a chunk only repeats: a late assertion is known to be older whenever it arrives."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "observables_0007"
down_revision = "observables_0006"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the source, its time and the repeated observables to the progress of runs."""
    op.add_column("run_chunk", sa.Column("source_id", pg.UUID), schema=SCHEMA)
    op.add_column("run_chunk", sa.Column("observed_at", sa.DateTime(timezone=True)), schema=SCHEMA)
    # The 16 bytes of each id, one after the other: hashes, which nothing compresses.
    op.add_column("run_chunk", sa.Column("repeated", sa.LargeBinary), schema=SCHEMA)
    op.execute(f"ALTER TABLE {SCHEMA}.run_chunk ALTER COLUMN repeated SET STORAGE EXTERNAL")
    op.create_index(
        "run_chunk_repeated",
        "run_chunk",
        ["tenant", "bucket", "observed_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("repeated IS NOT NULL"),
    )
    op.create_index(
        "run_chunk_source", "run_chunk", ["tenant", "source_id", "observed_at"], schema=SCHEMA
    )
