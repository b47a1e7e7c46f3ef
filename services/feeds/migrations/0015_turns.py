"""Tenants take turns at providers: when each visited a host, and waits to do so."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import protect

revision = "feeds_0015"
down_revision = "feeds_0014"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table; the version before goes on with the hosts in `provider` alone."""
    op.create_table(
        "provider_turn",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("next_visit_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("visited_at", _TIME),
        sa.Column("waits_until", _TIME),
        schema="feeds",
    )
    protect("provider_turn", "feeds")
