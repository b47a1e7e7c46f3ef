"""The inbox knows who has read what."""

import sqlalchemy as sa
from alembic import op

from shared.database import PLATFORM
from shared.migrations import protect

revision = "notifications_0017"
down_revision = "notifications_0016"

_SCHEMA = "notifications"


def upgrade() -> None:
    """Add the marks, which a process of the version before does not know."""
    op.create_table(
        "inbox_mark",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.Uuid, primary_key=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        schema=_SCHEMA,
    )
    op.create_index("inbox_mark_age", "inbox_mark", ["read_at"], schema=_SCHEMA)
    protect("inbox_mark", _SCHEMA)
    current = "(SELECT current_setting('sentineliq.tenant', true))"
    op.execute(
        f"ALTER POLICY reads ON {_SCHEMA}.inbox_mark USING (tenant = {current} OR {current} = "
        f"'{PLATFORM}')"
    )
