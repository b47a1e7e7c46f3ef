"""The tables of files, and the rows that queries return."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA: Final = sa.MetaData()
_TIME: Final = sa.DateTime(timezone=True)
_UUID: Final = pg.UUID(as_uuid=True)

FILE: Final = sa.Table(
    "list_file",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("list_id", _UUID, primary_key=True),
    sa.Column("format", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger),
    sa.Column("revision", sa.BigInteger),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("size", sa.BigInteger),
    sa.Column("entries", sa.Integer),
    sa.Column("left_out", pg.JSONB),
    sa.Column("changed_at", _TIME),
    sa.Column("wanted_at", _TIME),
)
CONTENT: Final = sa.Table(
    "list_content",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("list_id", _UUID, primary_key=True),
    sa.Column("format", sa.Text, primary_key=True),
    sa.Column("encoding", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("content", sa.LargeBinary),
)


class FileRow(NamedTuple):
    """A file as it is stored; the fields are columns.

    Attributes:
        number: the version of the list.
        revision: of the list's settings that it was written with.
        digest: SHA-256 of its bytes.
        left_out: how many entries the format cannot say, by reason.
        changed_at: when the version came to be.
    """

    list_id: UUID
    format: str
    number: int
    revision: int
    digest: bytes
    size: int
    entries: int
    left_out: Mapping[str, int]
    changed_at: datetime


class WrittenFile(NamedTuple):
    """A file that was written, in all encodings."""

    row: FileRow
    contents: Mapping[str, bytes]
