"""The messages of a channel are listed by an index."""

from shared.migrations import build_index

revision = "notifications_0018"
down_revision = "notifications_0017"


def upgrade() -> None:
    """Build the index; a process of the version before does without it."""
    build_index(
        "notifications",
        "delivery_of_channel",
        "notifications.delivery (tenant, channel_id, id DESC)",
    )
