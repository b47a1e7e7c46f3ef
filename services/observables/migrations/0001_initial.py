"""Observables, the assertions of sources about them, and how far each feed run came."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import create_infrastructure, protect

revision = "observables_0001"
down_revision = None

SCHEMA = "observables"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the first version of the schema."""
    create_infrastructure(SCHEMA)
    op.create_table(
        "source",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("reliability", sa.SmallInteger, nullable=False),
        sa.Column("tlp", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    # The id is a hash of type and value: this index also finds an observable by its value.
    op.create_table(
        "observable",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "assertion",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("observable_id", pg.UUID, primary_key=True),
        sa.Column("source_id", pg.UUID, primary_key=True),
        sa.Column("confidence", sa.SmallInteger, nullable=False),
        sa.Column("tags", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("malware", sa.Text),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("last_seen", _TIME, nullable=False),
        sa.Column("valid_until", _TIME),
        sa.Column("retracted_at", _TIME),
        schema=SCHEMA,
    )
    op.create_table(
        "run_chunk",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("run_id", pg.UUID, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("chunk", sa.Integer, primary_key=True),
        sa.Column("received", sa.Integer, nullable=False),
        sa.Column("new", sa.Integer, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("rejected", sa.Integer, nullable=False),
        sa.Column("handled_at", _TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    for table in ("source", "observable", "assertion", "run_chunk"):
        protect(table, SCHEMA)
