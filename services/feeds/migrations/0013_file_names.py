"""Uploads keep the name of their file, whose ending may tell their format."""

import sqlalchemy as sa
from alembic import op

revision = "feeds_0013"
down_revision = "feeds_0012"

SCHEMA = "feeds"


def upgrade() -> None:
    """Add the columns; documents of before have no name."""
    for table in ("feed", "run"):
        op.add_column(table, sa.Column("file_name", sa.Text), schema=SCHEMA)
