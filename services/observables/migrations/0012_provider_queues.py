"""What was a lane is a provider queue, its meter a limiter; names only, no row is rewritten."""

from alembic import op

revision = "observables_0012"
down_revision = "observables_0011"

SCHEMA = "observables"
_QUEUE_COLUMNS = {
    "meter": "limiter",
    "clicks_from": "interactive_from",
    "others_from": "background_from",
}
_JOB_COLUMNS = {"lane": "queue_id", "taken": "claims"}


def upgrade() -> None:
    """Rename the table, its key and the columns; indexes and row-level security go with them."""
    op.rename_table("enrichment_lane", "enrichment_queue", schema=SCHEMA)
    op.execute(f"ALTER INDEX {SCHEMA}.enrichment_lane_pkey RENAME TO enrichment_queue_pkey")
    for table, columns in (("enrichment_queue", _QUEUE_COLUMNS), ("enrichment_job", _JOB_COLUMNS)):
        for old, new in columns.items():
            op.alter_column(table, old, new_column_name=new, schema=SCHEMA)
