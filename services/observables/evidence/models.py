"""The table of pairs of sources of which one copies the other."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

SOURCE_PAIR = sa.Table(
    "source_pair",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("copier_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("original_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("probability", sa.Float),
    sa.Column("shared", sa.BigInteger),
    sa.Column("containment", sa.Float),
    sa.Column("expected", sa.Float),
    sa.Column("mistakes", sa.BigInteger),
    sa.Column("earlier", sa.BigInteger),
    sa.Column("later", sa.BigInteger),
    sa.Column("measured_at", sa.DateTime(timezone=True)),
)
