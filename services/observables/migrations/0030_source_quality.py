"""What came out about the listings of sources, and whether it counts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0030"
down_revision = "observables_0029"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the tables; nothing that is learned counts until a tenant says so."""
    op.create_table(
        "source_quality",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("source_id", pg.UUID, primary_key=True),
        sa.Column("type", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("right_count", "wrong_count")
        ),
        *(
            sa.Column(name, sa.SmallInteger, nullable=False)
            for name in ("stated", "learned", "low", "high")
        ),
        sa.Column("is_applied", sa.Boolean, nullable=False),
        sa.Column(
            "measured_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        schema=SCHEMA,
    )
    protect("source_quality", SCHEMA)
    op.create_table(
        "evidence_policy",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("applies_learning", sa.Boolean, nullable=False),
        schema=SCHEMA,
    )
    protect("evidence_policy", SCHEMA)
