"""The tables of watchlists. Not even the rows of `public` are visible to other tenants."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

WATCHLIST = sa.Table(
    "watchlist",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("entry_count", sa.Integer),
    sa.Column("version", sa.BigInteger),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
)
"""`version` grows with every change of its entries."""

WATCHLIST_ENTRY = sa.Table(
    "watchlist_entry",
    sa.MetaData(),
    sa.Column("watchlist_id", _ID, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("created_at", _TIME),
)
