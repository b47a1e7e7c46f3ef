"""The tables of trends."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME: Final = sa.DateTime(timezone=True)

TREND: Final = sa.Table(
    "trend",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("feeds", pg.ARRAY(sa.Text)),
    sa.Column("count", sa.Integer),
    sa.Column("baseline", sa.Double),
    sa.Column("window_start", _TIME),
    sa.Column("window_seconds", sa.Integer),
    sa.Column("announced_at", _TIME),
)
TREND_PEAK: Final = sa.Table(
    "trend_peak",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("hour", _TIME, primary_key=True),
    sa.Column("peak", sa.Integer),
)
"""The highest count of a subject in any ten minutes that end in an hour."""
