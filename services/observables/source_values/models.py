"""The tables of source values, and the rows that repositories return."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA = sa.MetaData()
_ID = pg.UUID(as_uuid=True)
_MOMENT = sa.DateTime(timezone=True)

OBSERVABLE_NUMBER: Final = sa.Table(
    "observable_number",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("number", sa.Integer),
)
"""A number for each observable: bitmaps are small when what they hold lies close together."""
SOURCE_BITMAP: Final = sa.Table(
    "source_bitmap",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("source_id", _ID, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("members", sa.LargeBinary),
    sa.Column("times", sa.LargeBinary),
    sa.Column("harmless", sa.LargeBinary),
    sa.Column("handled_at", _MOMENT),
    sa.Column("is_settled", sa.Boolean),
)
SOURCE_COST: Final = sa.Table(
    "source_cost",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("source_id", _ID, primary_key=True),
    sa.Column("yearly_cost", sa.Numeric(12, 2, asdecimal=False)),
    sa.Column("currency", sa.Text),
    sa.Column("changed_at", _MOMENT),
    sa.Column("changed_by", sa.Text),
)


class StaleBucket(NamedTuple):
    """What a source asserts in a bucket, of which the bitmap is older.

    Attributes:
        handled_at: when the newest chunk of it was applied.
        is_settled: whether no transaction that began before can still be open.
    """

    tenant: str
    source_id: UUID
    bucket: int
    handled_at: datetime
    is_settled: bool


class AssertedBucket(NamedTuple):
    """What a source asserts in a bucket.

    Attributes:
        numbers: of its observables, ascending, as 32-bit integers of the network's byte order.
        times: when the source first saw each, in seconds since 1970, in the same way.
        harmless: the numbers of those that an allow-list names as harmless.
    """

    source_id: UUID
    numbers: bytes
    times: bytes
    harmless: bytes


class BitmapRow(NamedTuple):
    """The stored bitmap of a source and a bucket; the fields are columns."""

    source_id: UUID
    members: bytes
    times: bytes
    harmless: bytes


class ValuedSource(NamedTuple):
    """A source that a tenant sees, with what is counted of it elsewhere.

    Attributes:
        applied_at: when the newest chunk of it was applied.
        false_positives: observables of it that somebody has reported as false positives.
        sightings: observables of it that were seen, or confirmed as malicious, in this tenant.
        yearly_cost: what it costs in a year; None if nobody has stated it.
    """

    tenant: str
    id: UUID
    name: str
    applied_at: datetime | None
    false_positives: int
    sightings: int
    yearly_cost: float | None
    currency: str
