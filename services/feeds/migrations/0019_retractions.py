"""Runs take back what a feed has said, and restore it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "feeds_0019"
down_revision = "feeds_0018"

SCHEMA = "feeds"
_INPUTS = "input IN ('fetch', 'upload', 'stored', 'retraction', 'restoration')"


def upgrade() -> None:
    """Add the column, and widen the check of inputs; the rows keep it already."""
    op.add_column("run", sa.Column("retracts", pg.UUID), schema=SCHEMA)
    op.drop_constraint("run_input", "run", type_="check", schema=SCHEMA)
    op.execute(f"ALTER TABLE {SCHEMA}.run ADD CONSTRAINT run_input CHECK ({_INPUTS}) NOT VALID")
    op.execute(f"ALTER TABLE {SCHEMA}.run VALIDATE CONSTRAINT run_input")
