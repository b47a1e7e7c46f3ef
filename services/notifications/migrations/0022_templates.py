"""Rules may have a template for the text of their messages."""

import sqlalchemy as sa
from alembic import op

from shared.database import PLATFORM
from shared.migrations import protect

revision = "notifications_0022"
down_revision = "notifications_0021"

_SCHEMA = "notifications"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table; a worker of the version before writes its own words."""
    op.create_table(
        "template",
        sa.Column("rule_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.ForeignKeyConstraint(["rule_id"], [f"{_SCHEMA}.rule.id"], ondelete="CASCADE"),
        schema=_SCHEMA,
    )
    protect("template", _SCHEMA)
    current = "(SELECT current_setting('sentineliq.tenant', true))"
    op.execute(
        f"ALTER POLICY reads ON {_SCHEMA}.template USING (tenant = {current} OR {current} = "
        f"'{PLATFORM}')"
    )
