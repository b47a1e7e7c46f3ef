"""The tables of inhibitions. Not even the rows of `public` are for other tenants to read."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)
_METADATA = sa.MetaData()

INHIBITION = sa.Table(
    "inhibition",
    _METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("source_filter", sa.Text),
    sa.Column("target_filter", sa.Text),
    sa.Column("equal", pg.ARRAY(sa.Text)),
    sa.Column("hold_seconds", sa.Integer),
    sa.Column("author", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
)

FIRING = sa.Table(
    "inhibition_firing",
    _METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("inhibition_id", _ID),
    sa.Column("key", sa.Text),
    sa.Column("labels", pg.JSONB),
    sa.Column("starts_at", _TIME),
    sa.Column("ends_at", _TIME),
)
"""From `starts_at` to `ends_at` an inhibition holds what has the labels."""
