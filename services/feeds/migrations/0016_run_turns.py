"""Workers find the tenants whose runs wait, however many one of them has."""

from shared.migrations import build_index

revision = "feeds_0016"
down_revision = "feeds_0015"


def upgrade() -> None:
    """Build the index; a worker of the version before does without it."""
    build_index(
        "feeds",
        "run_turn",
        "feeds.run (tenant, (coalesce(lease_until, next_attempt_at))) "
        "WHERE state IN ('queued', 'running')",
    )
