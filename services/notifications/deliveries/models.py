"""The tables of deliveries and their attempts, of which other tenants see none.

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
    sa.Column("group_id", _ID),
    sa.Column("window_number", sa.Integer),
    sa.Column("kind", sa.Text),
    sa.Column("total_count", sa.BigInteger),
    sa.Column("severity", sa.Text),
    sa.Column("held_until", _TIME),
    sa.Column("held_by", sa.Text),
    sa.Column("summary_id", _ID),
    sa.Column("labels", pg.JSONB),
    sa.Column("reason", sa.Text),
    sa.Column("due_at", _TIME),
    sa.Column("receipt", sa.Text),
    sa.Column("is_outcome_unknown", sa.Boolean),
    sa.Column("is_maybe_repeated", sa.Boolean),
    sa.Column("replay_of", _ID),
)
"""Names of rules and channels are those at the time of the match."""

MATCHES = sa.Table(
    "delivery",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("matches", pg.JSONB),
)
"""All matches of a delivery, which may be large: lists and claims do without them."""

DELIVERY_ATTEMPT = sa.Table(
    "delivery_attempt",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("delivery_id", _ID),
    sa.Column("number", sa.SmallInteger),
    sa.Column("attempted_at", _TIME),
    sa.Column("milliseconds", sa.Integer),
    sa.Column("outcome", sa.Text),
    sa.Column("response_status", sa.SmallInteger),
    sa.Column("answer", sa.Text),
    sa.Column("error", pg.JSONB(none_as_null=True)),
)
