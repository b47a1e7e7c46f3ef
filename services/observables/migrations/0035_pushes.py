"""Pushes of collections to other systems, and how far each is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0035"
down_revision = "observables_0034"

SCHEMA = "observables"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table."""
    collection = sa.ForeignKey(f"{SCHEMA}.collection.id", ondelete="CASCADE")
    op.create_table(
        "push",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("collection_id", pg.UUID, collection, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("config", pg.JSONB, nullable=False),
        sa.Column("credentials", sa.LargeBinary),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default="true"),
        *_progress(),
        *_lease(),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant", "name", name="push_name"),
        schema=SCHEMA,
    )
    op.create_index("push_collection", "push", ["collection_id"], schema=SCHEMA)
    protect("push", SCHEMA)


def _progress() -> list[sa.Column[object]]:
    """How far a push is, and what its target has taken."""
    return [
        sa.Column("begun_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("pushed_added", MOMENT),
        sa.Column("pushed_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("pushed_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("refused_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("refusal", sa.Text, nullable=False, server_default=""),
        sa.Column("pushed_at", MOMENT),
    ]


def _lease() -> list[sa.Column[object]]:
    return [
        sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("holder", pg.UUID),
        sa.Column("lease_until", MOMENT),
        sa.Column("next_attempt_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("error", pg.JSONB),
    ]
