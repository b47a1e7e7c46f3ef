"""Who has read what. The messages themselves are deliveries through channels of the kind inbox."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

INBOX_MARK = sa.Table(
    "inbox_mark",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text, primary_key=True),
    sa.Column("delivery_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("read_at", sa.DateTime(timezone=True)),
)
