"""The table of digests. Not even the rows of the tenant `public` are for other tenants to read."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

DIGEST = sa.Table(
    "digest",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("cron", sa.Text),
    sa.Column("timezone", sa.Text),
    sa.Column("channel_ids", pg.ARRAY(_ID)),
    sa.Column("enabled", sa.Boolean),
    sa.Column("next_due_at", _TIME),
    sa.Column("last_due_at", _TIME),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
)
