"""Sources have origins, and the second model of scores holds from now on."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0024"
down_revision = "observables_0023"

SCHEMA = "observables"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns of origins, and note when the model of scores changed.

    Processes of the version before go on with the model before; what they store is computed again.
    """
    for table in ("source", "source_past"):
        origin = sa.Column("origin", sa.Text, nullable=False, server_default="")
        op.add_column(table, origin, schema=SCHEMA)
        op.execute(
            f"ALTER TABLE {SCHEMA}.{table} ADD COLUMN derived_from text[] NOT NULL DEFAULT '{{}}'"
        )
    op.create_table(
        "scoring_model",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("version", sa.SmallInteger, primary_key=True),
        sa.Column("since", _TIME, nullable=False, server_default=sa.func.now()),
        # The tenant and the id of the last observable that was scored with it.
        sa.Column("progress", sa.Text),
        sa.Column("observables", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("moved", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("verdicts", pg.JSONB, nullable=False, server_default="{}"),
        sa.Column("finished_at", _TIME),
        schema=SCHEMA,
    )
    op.execute(f"INSERT INTO {SCHEMA}.scoring_model (tenant, version) VALUES ('public', 2)")
    protect("scoring_model", SCHEMA)
