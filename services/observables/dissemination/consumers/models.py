"""The tables of consumers and their polls, and the rows that queries return."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA: Final = sa.MetaData()
_TIME: Final = sa.DateTime(timezone=True)
_UUID: Final = pg.UUID(as_uuid=True)

CONSUMER: Final = sa.Table(
    "list_consumer",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", _UUID, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("list_ids", pg.ARRAY(_UUID)),
    sa.Column("token_digest", sa.LargeBinary),
    sa.Column("networks", pg.ARRAY(sa.Text)),
    sa.Column("silent_after_seconds", sa.Integer),
    sa.Column("silent_since", _TIME),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
    sa.Column("revoked_at", _TIME),
)
POLL: Final = sa.Table(
    "list_poll",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("consumer_id", _UUID, primary_key=True),
    sa.Column("list_id", _UUID, primary_key=True),
    sa.Column("format", sa.Text, primary_key=True),
    sa.Column("polled_at", _TIME),
    sa.Column("number", sa.BigInteger),
    sa.Column("entries", sa.Integer),
    sa.Column("address", sa.Text),
    sa.Column("agent", sa.Text),
)


class ConsumerRow(NamedTuple):
    """A consumer as it is stored; the fields are columns.

    Attributes:
        list_ids: the lists that it may poll.
        token_digest: salt and HMAC of its token.
        networks: from which it may poll; empty for any.
        silent_since: when it was noticed that it polls no more.
    """

    tenant: str
    id: UUID
    name: str
    list_ids: list[UUID]
    token_digest: bytes
    networks: list[str]
    silent_after_seconds: int
    silent_since: datetime | None
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class PollRow(NamedTuple):
    """What a consumer has of a list.

    Attributes:
        list_name: the list's.
        number: the version that it fetched last.
        published_number: the version that it would get now.
        lag_seconds: since when it could have had a newer version; 0 if it has the newest.
    """

    consumer_id: UUID
    consumer: str
    list_id: UUID
    list_name: str
    format: str
    polled_at: datetime
    number: int
    published_number: int
    entries: int
    address: str
    agent: str
    lag_seconds: float


class PolledList(NamedTuple):
    """A list as a poll needs it, with the file that is ready."""

    list_id: UUID
    published_number: int
    state: str
    is_filled: bool
    number: int | None
    digest: bytes | None
    size: int | None
    entries: int | None
    changed_at: datetime | None


class SilentConsumer(NamedTuple):
    """A consumer that stopped polling, or polls again."""

    tenant: str
    id: UUID
    name: str
    polled_at: datetime | None
