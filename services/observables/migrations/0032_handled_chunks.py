"""Chunks of runs by the time at which they were applied."""

from shared.migrations.indexes import build_index

revision = "observables_0032"
down_revision = "observables_0031"


def upgrade() -> None:
    """Build the index while chunks are written."""
    build_index("observables", "run_chunk_handled", "observables.run_chunk (handled_at)")
