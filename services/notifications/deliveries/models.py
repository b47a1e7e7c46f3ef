"""The table of deliveries. Not even the rows of the tenant `public` are visible to other tenants.

A delivery is the notification of one rule about one event to one channel. The row is the truth; the
message in the queue only speeds it up.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

DELIVERY = sa.Table(
    "delivery",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("rule_id", _ID),
    sa.Column("channel_id", _ID),
    sa.Column("rule", sa.Text),
    sa.Column("channel", sa.Text),
    sa.Column("event_id", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("match_count", sa.Integer),
    sa.Column("attempts", sa.SmallInteger),
    sa.Column("next_attempt_at", _TIME),
    sa.Column("error", pg.JSONB(none_as_null=True)),
    sa.Column("response_status", sa.SmallInteger),
    sa.Column("event_at", _TIME),
    sa.Column("created_at", _TIME),
    sa.Column("finished_at", _TIME),
    sa.Column("holder", _ID),
    sa.Column("lease_until", _TIME),
)
"""Names of rules and channels are those at the time of the match."""

MATCHES = sa.Table(
    "delivery",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("matches", pg.JSONB),
)
"""All matches of a delivery, which may be large: lists and claims do without them."""
