"""The tables of groups. Not even the rows of the tenant `public` are visible to other tenants."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

MATCH_GROUP = sa.Table(
    "match_group",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("rule_id", _ID),
    sa.Column("rule", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("labels", pg.JSONB),
    sa.Column("subject", sa.Text),
    sa.Column("severity", sa.Text),
    sa.Column("channel_ids", pg.ARRAY(_ID)),
    sa.Column("update_seconds", sa.Integer),
    sa.Column("silence_id", _ID),
    sa.Column("digest_id", _ID),
    sa.Column("window_number", sa.Integer),
    sa.Column("window_ends_at", _TIME),
    sa.Column("match_count", sa.BigInteger),
    sa.Column("last_match_at", _TIME),
    sa.Column("opened_at", _TIME),
    sa.Column("created_at", _TIME),
    sa.Column("closed_at", _TIME),
    sa.Column("close_reason", sa.Text),
    sa.Column("closing_reason", sa.Text),
    sa.Column("acknowledged_at", _TIME),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("escalation", pg.JSONB),
    sa.Column("escalation_step", sa.SmallInteger),
    sa.Column("escalates_at", _TIME),
)
"""`closing_reason` asks for the close with the end of the window, `close_reason` tells of it."""

GROUP_BATCH = sa.Table(
    "group_batch",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("group_id", _ID),
    sa.Column("window_number", sa.Integer),
    sa.Column("event_id", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("matches", pg.JSONB),
    sa.Column("match_count", sa.Integer),
    sa.Column("event_at", _TIME),
    sa.Column("created_at", _TIME),
)
"""The matches of one event; without a window's number they wait for a message."""
