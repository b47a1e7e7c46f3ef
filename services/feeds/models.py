"""The tables of the feeds service, as the queries name them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA = sa.MetaData()
_TIME = sa.DateTime(timezone=True)

FEED = sa.Table(
    "feed",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("format", sa.Text),
    sa.Column("options", pg.JSONB),
    sa.Column("confidence", sa.SmallInteger),
    sa.Column("reliability", sa.Text),
    sa.Column("tlp", sa.Text),
    sa.Column("tags", pg.ARRAY(sa.Text)),
    sa.Column("every_seconds", sa.Integer),
    sa.Column("enabled", sa.Boolean),
    sa.Column("next_run_at", _TIME),
    sa.Column("etag", sa.Text),
    sa.Column("last_modified", sa.Text),
    sa.Column("content_digest", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
)
RUN = sa.Table(
    "run",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("feed_id", pg.UUID(as_uuid=True)),
    sa.Column("state", sa.Text),
    sa.Column("payload", sa.Text),
    sa.Column("observed_at", _TIME),
    sa.Column("attempts", sa.Integer),
    sa.Column("next_attempt_at", _TIME),
    sa.Column("lease_until", _TIME),
    sa.Column("report", pg.JSONB),
    sa.Column("error", pg.JSONB),
    sa.Column("queued_at", _TIME),
    sa.Column("started_at", _TIME),
    sa.Column("finished_at", _TIME),
    sa.Column("requested_by", sa.Text),
)
