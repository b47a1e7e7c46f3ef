"""How names, URLs and e-mail addresses begin: whatever else has a text begins as its search key does."""

import sqlalchemy as sa
from alembic import op

revision = "observables_0008"
down_revision = "observables_0007"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the beginnings with their index; of all values it would cost the ingest four times as much."""
    # A column and no expression: row-level security keeps functions that are not leakproof, as left() is, from indexes.
    begins = "CASE WHEN type IN ('domain-name', 'url', 'email-addr') THEN \"left\"(value, 250) END"
    column = sa.Column("beginning", sa.Text(collation="C"), sa.Computed(begins, persisted=True))
    op.add_column("observable", column, schema=SCHEMA)
    op.create_index(
        "observable_beginning",
        "observable",
        ["tenant", "beginning"],
        schema=SCHEMA,
        postgresql_where=sa.text("beginning IS NOT NULL"),
    )
