"""Keep contexts as text: PostgreSQL never looks inside, and parsing them costs ingest."""

from alembic import op

revision = "observables_0009"
down_revision = "observables_0008"

SCHEMA = "observables"


def upgrade() -> None:
    """Keep the text of what enrichers find."""
    op.execute(f"ALTER TABLE {SCHEMA}.observable ALTER COLUMN context DROP DEFAULT")
    for table in ("observable", "context_past"):
        op.execute(
            f"ALTER TABLE {SCHEMA}.{table} ALTER COLUMN context TYPE json USING context::json"
        )
    op.execute(f"ALTER TABLE {SCHEMA}.observable ALTER COLUMN context SET DEFAULT '{{}}'")
