"""The table of channels. Not even the rows of the tenant `public` are visible to other tenants."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)

CHANNEL = sa.Table(
    "channel",
    sa.MetaData(),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("config", pg.JSONB),
    sa.Column("secret", sa.LargeBinary),
    sa.Column("enabled", sa.Boolean),
    sa.Column("disabled_reason", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
    sa.Column("max_tlp", sa.Text),
)
