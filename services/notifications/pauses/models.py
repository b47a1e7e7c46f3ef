"""The table of channels that fail. Not even the rows of `public` are for other tenants."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)

CHANNEL_HEALTH = sa.Table(
    "channel_health",
    sa.MetaData(),
    sa.Column("channel_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("failures", sa.Integer),
    sa.Column("failing_since", _TIME),
    sa.Column("paused_at", _TIME),
    sa.Column("probe_at", _TIME),
    sa.Column("probes", sa.Integer),
    sa.Column("error", pg.JSONB(none_as_null=True)),
)
"""A channel without a row does not fail."""
