"""Lists are filled beside the events: what changes meanwhile is noted, and failures wait."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0033"
down_revision = "observables_0032"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the tables of fills that go on, and to lists when a failed fill is tried again."""
    _add_attempts()
    list_key = sa.ForeignKey(f"{SCHEMA}.dissemination_list.id", ondelete="CASCADE")
    op.create_table(
        "list_fill",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("list_id", pg.UUID, list_key, primary_key=True),
        sa.Column("phase", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    note_key = sa.ForeignKey(f"{SCHEMA}.dissemination_list.id", ondelete="CASCADE")
    op.create_table(
        "list_fill_change",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("list_id", pg.UUID, note_key, nullable=False),
        sa.Column("observable_id", pg.UUID, nullable=False),
        sa.Column("is_immediate", sa.Boolean, nullable=False),
        schema=SCHEMA,
    )
    op.create_index(
        "list_fill_change_list", "list_fill_change", ["list_id", "number"], schema=SCHEMA
    )
    for table in ("list_fill", "list_fill_change"):
        protect(table, SCHEMA)


def _add_attempts() -> None:
    for column in (
        sa.Column("fill_failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failed_revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("fill_again_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("dissemination_list", column, schema=SCHEMA)
