"""Until when the task of a firing has to run; after that its message is taken for lost."""

import sqlalchemy as sa
from alembic import op

revision = "scheduler_0012"
down_revision = "scheduler_0011"


def upgrade() -> None:
    """Add the column. Nobody waits for the firings that the version before sends: it is empty."""
    op.add_column("fire", sa.Column("confirm_by", sa.DateTime(timezone=True)), schema="scheduler")
