"""The table of heartbeats."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)

BEAT = sa.Table(
    "beat",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("host", sa.Text),
    sa.Column("pid", sa.Integer),
    sa.Column("started_at", _TIME),
    sa.Column("last_tick_at", _TIME),
    sa.Column("last_fired_at", _TIME),
)
