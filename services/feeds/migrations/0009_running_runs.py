"""The database allows each feed a single running run."""

from shared.migrations import build_index

revision = "feeds_0009"
down_revision = "feeds_0008"


def upgrade() -> None:
    """Build the index.

    A worker of the version before that claims a run beside a running one of its feed is refused by
    it; the run's message comes again later.
    """
    build_index("feeds", "run_running", "feeds.run (feed_id) WHERE state = 'running'", unique=True)
