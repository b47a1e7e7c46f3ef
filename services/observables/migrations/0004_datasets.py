"""Reference data, packed: public to all tenants, as what is made of it is."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import protect

revision = "observables_0004"
down_revision = "observables_0003"

SCHEMA = "observables"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "dataset",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text),
        sa.Column("packed", sa.LargeBinary),
        sa.Column("origin", sa.Text),
        sa.Column("obtained_at", _TIME),
        sa.Column("checked_at", _TIME, nullable=False),
        sa.Column("described", sa.Text),
        sa.Column("progress", sa.Text),
        sa.Column("error", sa.Text),
        schema=SCHEMA,
    )
    protect("dataset", SCHEMA)
