"""The table of silences. Not even the rows of the tenant `public` are for other tenants to read."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)

SILENCE = sa.Table(
    "silence",
    sa.MetaData(),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("filter", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("author", sa.Text),
    sa.Column("starts_at", _TIME),
    sa.Column("ends_at", _TIME),
    sa.Column("created_at", _TIME),
    sa.Column("ended_by", sa.Text),
)
