"""Rules tell of other topics than observables."""

from alembic import op

revision = "notifications_0021"
down_revision = "notifications_0020"


def upgrade() -> None:
    """Add the topic; all rules of before are about observables."""
    op.execute(
        "ALTER TABLE notifications.rule ADD COLUMN topic text NOT NULL DEFAULT 'observables'"
    )
