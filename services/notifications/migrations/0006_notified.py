"""What rules have notified of: a change that comes again is not notified of again."""

import sqlalchemy as sa
from alembic import op

from shared.database import PLATFORM
from shared.migrations import protect

revision = "notifications_0006"
down_revision = "notifications_0005"

_SCHEMA = "notifications"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "notified_change",
        sa.Column("rule_id", sa.Uuid, primary_key=True),
        sa.Column("change_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "notified_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        schema=_SCHEMA,
    )
    protect("notified_change", _SCHEMA)
    # What the operators watch for is not for every tenant to read.
    current = "(SELECT current_setting('sentineliq.tenant', true))"
    op.execute(
        f"ALTER POLICY reads ON {_SCHEMA}.notified_change "
        f"USING (tenant = {current} OR {current} = '{PLATFORM}')"
    )
