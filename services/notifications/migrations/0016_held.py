"""What quiet hours and silences hold is looked for at its end."""

from shared.migrations import build_index

revision = "notifications_0016"
down_revision = "notifications_0015"


def upgrade() -> None:
    """Build the index; a process of the version before does without it."""
    build_index(
        "notifications",
        "delivery_held",
        "notifications.delivery (held_until) WHERE state = 'held'",
    )
