"""Rules have a filter: an expression that has to match, too."""

from alembic import op

revision = "notifications_0014"
down_revision = "notifications_0013"


def upgrade() -> None:
    """Add the column; an empty text is no filter."""
    op.execute("ALTER TABLE notifications.rule ADD COLUMN filter text NOT NULL DEFAULT ''")
