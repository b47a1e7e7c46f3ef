"""The table of rules. Not even the rows of the tenant `public` are visible to other tenants."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_TEXTS = pg.ARRAY(sa.Text)

RULE = sa.Table(
    "rule",
    sa.MetaData(),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("kinds", _TEXTS, key="on"),
    sa.Column("types", _TEXTS),
    sa.Column("min_score", sa.SmallInteger),
    sa.Column("sources", _TEXTS),
    sa.Column("tags", _TEXTS),
    sa.Column("channel_ids", pg.ARRAY(pg.UUID(as_uuid=True))),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
    sa.Column("filter", sa.Text),
    sa.Column("group_by", _TEXTS),
    sa.Column("update_seconds", sa.Integer),
    sa.Column("max_groups", sa.Integer),
    sa.Column("severity", sa.Text),
    sa.Column("digest_id", pg.UUID(as_uuid=True)),
    sa.Column("escalation", pg.JSONB),
    sa.Column("topic", sa.Text),
)
