"""Loads name the holder of their lease and the time of their next attempt."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "mitre_0003"
down_revision = "mitre_0002"

SCHEMA = "mitre"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns; loads of workers of the version before are claimed when their lease ends."""
    op.add_column("load", sa.Column("holder", pg.UUID), schema=SCHEMA)
    op.add_column(
        "load",
        sa.Column("next_attempt_at", _TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.drop_index("load_open", "load", schema=SCHEMA)
    op.create_index(
        "load_due",
        "load",
        [sa.text("coalesce(lease_until, next_attempt_at)")],
        schema=SCHEMA,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
