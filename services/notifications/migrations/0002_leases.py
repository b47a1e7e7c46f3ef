"""Deliveries are leased work: their holder, and the error under its usual name."""

import sqlalchemy as sa
from alembic import op

revision = "notifications_0002"
down_revision = "notifications_0001"

_SCHEMA = "notifications"


def upgrade() -> None:
    op.add_column("delivery", sa.Column("holder", sa.Uuid), schema=_SCHEMA)
    op.alter_column("delivery", "last_error", new_column_name="error", schema=_SCHEMA)
