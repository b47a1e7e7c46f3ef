"""The tables of what is measured of sources: copies, quality, whether it counts, what follows."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA = sa.MetaData()

SOURCE_PAIR = sa.Table(
    "source_pair",
    _METADATA,
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

SOURCE_QUALITY = sa.Table(
    "source_quality",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("source_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("right_count", sa.BigInteger),
    sa.Column("wrong_count", sa.BigInteger),
    sa.Column("stated", sa.SmallInteger),
    sa.Column("learned", sa.SmallInteger),
    sa.Column("low", sa.SmallInteger),
    sa.Column("high", sa.SmallInteger),
    sa.Column("is_applied", sa.Boolean),
    sa.Column("measured_at", sa.DateTime(timezone=True)),
)
SOURCE_RESCORING = sa.Table(
    "source_rescoring",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("source_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("other_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("next_range", sa.SmallInteger),
)
EVIDENCE_POLICY = sa.Table(
    "evidence_policy",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("applies_learning", sa.Boolean),
)
