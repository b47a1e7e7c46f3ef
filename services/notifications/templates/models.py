"""The table of templates. Not even the rows of `public` are for other tenants to read."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)

TEMPLATE = sa.Table(
    "template",
    sa.MetaData(),
    sa.Column("rule_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("text", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
)
