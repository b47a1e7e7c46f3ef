"""Add technique cards, the age of contexts, and rises of registrars."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0006"
down_revision = "observables_0005"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the table, the column, and the kind of trend."""
    op.create_table(
        "attack_technique",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("attack_id", sa.Text, primary_key=True),
        sa.Column("card", pg.JSONB, nullable=False),
        schema=SCHEMA,
    )
    protect("attack_technique", SCHEMA)
    op.add_column(
        "dataset", sa.Column("described_as_of", sa.DateTime(timezone=True)), schema=SCHEMA
    )
    op.execute(
        f"UPDATE {SCHEMA}.dataset SET described_as_of = obtained_at WHERE described = digest"
    )
    op.drop_constraint("trend_kind", "trend", schema=SCHEMA)
    op.create_check_constraint(
        "trend_kind", "trend", "kind IN ('value', 'malware', 'as', 'registrar')", schema=SCHEMA
    )
