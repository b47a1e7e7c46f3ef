"""The table of quiet hours. Not even the rows of `public` are for other tenants to read."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)

QUIET_HOURS = sa.Table(
    "quiet_hours",
    sa.MetaData(),
    sa.Column("channel_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("timezone", sa.Text),
    sa.Column("periods", pg.JSONB),
    sa.Column("passing", pg.ARRAY(sa.Text)),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
)
"""`passing` names the severities that do not wait."""
