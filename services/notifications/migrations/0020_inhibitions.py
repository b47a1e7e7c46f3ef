"""Inhibitions, and the times in which they hold something."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import PLATFORM
from shared.migrations import protect

revision = "notifications_0020"
down_revision = "notifications_0019"

_SCHEMA = "notifications"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables; a process of the version before holds nothing by them."""
    op.create_table(
        "inhibition",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("source_filter", sa.Text, nullable=False),
        sa.Column("target_filter", sa.Text, nullable=False),
        sa.Column("equal", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("hold_seconds", sa.Integer, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("tenant", "name", name="inhibition_name"),
        schema=_SCHEMA,
    )
    op.create_table(
        "inhibition_firing",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("inhibition_id", sa.Uuid, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("starts_at", _TIME, nullable=False),
        sa.Column("ends_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["inhibition_id"], [f"{_SCHEMA}.inhibition.id"], ondelete="CASCADE"
        ),
        schema=_SCHEMA,
    )
    columns = ["inhibition_id", "ends_at"]
    op.create_index("firing_of_inhibition", "inhibition_firing", columns, schema=_SCHEMA)
    op.create_index("firing_age", "inhibition_firing", ["ends_at"], schema=_SCHEMA)
    for table in ("inhibition", "inhibition_firing"):
        protect(table, _SCHEMA)
        _hide_public(table)
    op.execute(
        f"CREATE TRIGGER grow_rule_version AFTER INSERT OR UPDATE OR DELETE ON "
        f"{_SCHEMA}.inhibition FOR EACH ROW EXECUTE FUNCTION {_SCHEMA}.grow_rule_version()"
    )


def _hide_public(table: str) -> None:
    """What the operators watch for is not for every tenant to read."""
    current = "(SELECT current_setting('sentineliq.tenant', true))"
    op.execute(
        f"ALTER POLICY reads ON {_SCHEMA}.{table} USING (tenant = {current} OR {current} = "
        f"'{PLATFORM}')"
    )
